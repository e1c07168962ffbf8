"""What the page's scripts make of a run, run by Node without a browser."""

from __future__ import annotations

from dataclasses import replace

import pytest

from analysis.page_scripts import evaluate, needs_node
from star_search.analysis.report.data import report_data
from star_search.analysis.run_view import RunView

OWN = "m@8\x1b[2J.py:$x^2$"


@pytest.fixture(scope="module")
def view(stored_run):
    return RunView.read(stored_run)


@pytest.fixture(scope="module")
def data(view):
    return report_data(view)


def with_own_objective(view):
    """Return the run as if its first objective were a function of a file with a hostile name."""
    first, *others = view.names
    records = [
        replace(record, objectives={OWN if name == first else name: value for name, value in record.objectives.items()})
        for record in view.records
    ]
    return replace(view, config=view.config.model_copy(update={"objectives": [OWN, *others]}), records=records)


@needs_node
def test_the_name_of_an_own_objective_is_text_and_no_length(view):
    found = report_data(with_own_objective(view))
    assert found.opening["objectives"][0] == found.opening["columns"][0] == r"m@8\x1b[2J.py:$x^2$"
    labels = evaluate(found, '[labelOf(data.objectives[0]), plain(labelOf(data.objectives[0])), labelOf("cache_bytes@8192")]')
    assert labels == [r"m@8\x1b[2J.py:$x^2$", r"m@8\x1b[2J.py:&#36;x^2&#36;", "cache (bytes) at 8,192 tokens"]
    assert evaluate(found, "valueOf(data.candidates[0], data.objectives[0])") == view.records[0].objectives[view.names[0]]
