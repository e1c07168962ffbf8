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


@needs_node
def test_before_a_generation_is_finished_the_front_so_far_stands_and_its_best_is_chosen(view):
    records = [record for record in view.records if record.generation == 0][:5]
    found = report_data(replace(view, generation=None, records=records, generations=[]))
    first, second = view.names
    done = [(each.objectives[first], each.objectives[second], each.id) for each in records if each.outcome == "ok"]
    front = [one for one in sorted(done) if not any(a <= one[0] and b <= one[1] and (a, b) != one[:2] for a, b, _ in done)]
    asked = "[frontAt(state.generation).map((each) => each.id), bestId(), scatterTraces()[2].name, find('overview-section').hidden]"
    ids = [number for _, _, number in front]
    assert len(ids) > 1
    assert evaluate(found, f"(drawProgress(), {asked})", "scatter.js", "overview.js") == [ids, ids[0], "front so far", True]
    assert report_data(view).opening["so_far"] == {}
