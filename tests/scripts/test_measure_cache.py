"""The script that counts caches: what it finds on a run is what is declared, and a difference is said."""

import sys

import pytest

from scripts.conftest import loaded
from star_search.analysis.run_view import RunView
from star_search.genome.baselines import BASELINES
from stored_run import store_run


@pytest.fixture
def measure(monkeypatch, tmp_path):
    """Give the script, called on a run of four LIVs of width 64, and the run."""
    run = store_run(tmp_path / "run")
    monkeypatch.setattr(sys, "argv", ["measure_cache.py", str(run.path), "--lengths", "40", "300"])
    with loaded("measure_cache") as module:
        yield module, run


def test_fronts_and_baselines_hold_what_they_declare(measure, capsys):
    module, run = measure
    assert module.main() == 0
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["model", "40", "300", "equal"]
    assert [row[0] for row in rows[2:]] == [*(f"candidate {record.id}" for record in RunView.read(run).front), *BASELINES]
    assert {row[3] for row in rows[2:]} == {"yes"}
    # Two attentions keep k and v of width 64, 2 bytes an element: 512 bytes a token.
    assert next(row for row in rows if row[0] == "transformer++") == ["transformer++", "20,480", "153,600", "yes"]


def test_candidates_that_are_asked_for(measure, monkeypatch, capsys):
    module, run = measure
    asked = RunView.read(run).records[-1].id
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--candidates", str(asked), "--baselines", "transformer++"])
    assert module.main() == 0
    assert [line.split(" | ")[0] for line in capsys.readouterr().out.splitlines()[2:]] == [f"| candidate {asked}", "| transformer++"]


def test_a_difference_is_said(measure, monkeypatch, capsys):
    module, _ = measure
    monkeypatch.setattr(module, "held_cache_bytes", lambda model, length: 7)
    assert module.main() == 1
    assert "| transformer++ | 7 (declared 20,480) | 7 (declared 153,600) | no |" in capsys.readouterr().out
