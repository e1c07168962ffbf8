"""The script that counts caches: what it finds on a run is what is declared, and a difference is said."""

import importlib.util
import sys
from pathlib import Path

import pytest

from star_search.analysis.run_view import RunView
from star_search.genome.baselines import BASELINES
from stored_run import store_run

SCRIPT = Path(__file__).parents[2] / "scripts/measure_cache.py"


@pytest.fixture
def measure(monkeypatch, tmp_path):
    """Return a caller of the script on a run of four LIVs of width 64, and the run."""
    specification = importlib.util.spec_from_file_location("measure_cache", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, "measure_cache", module)
    specification.loader.exec_module(module)
    run = store_run(tmp_path / "run")
    monkeypatch.setattr(sys, "argv", ["measure_cache.py", str(run.path), "--lengths", "40", "300"])
    return module, run


def test_fronts_and_baselines_hold_what_they_declare(measure, capsys):
    module, run = measure
    assert module.main() == 0
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["model", "40", "300", "equal"]
    assert [row[0] for row in rows[2:]] == [*(f"candidate {record.id}" for record in RunView.read(run).front), *BASELINES]
    assert {row[3] for row in rows[2:]} == {"yes"}
    # Two attentions keep k and v of width 64, 2 bytes an element: 512 bytes a token.
    assert next(row for row in rows if row[0] == "transformer++") == ["transformer++", "20,480", "153,600", "yes"]


def test_a_difference_is_said(measure, monkeypatch, capsys):
    module, _ = measure
    monkeypatch.setattr(module, "held_cache_bytes", lambda model, length: 7)
    assert module.main() == 1
    assert "| transformer++ | 7 (declared 20,480) | 7 (declared 153,600) | no |" in capsys.readouterr().out
