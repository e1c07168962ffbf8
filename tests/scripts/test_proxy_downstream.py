"""The benchmarks of the proxy study: which export is scored, what counts, and what the table says."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from scripts.conftest import loaded
from star_search.evaluation.tasks import DOWNSTREAM


@pytest.fixture
def module():
    with loaded("proxy_downstream") as module:
        yield module


def score(task, metric, value, items, chance):
    return {"task": f"{task}_local", "metric": metric, "value": value, "lower": 0.0, "upper": 1.0, "items": items, "chance": chance}


def test_the_six_tasks_are_those_of_evaluate(module):
    assert set(module.METRICS) == set(DOWNSTREAM)


def test_each_model_is_scored_by_its_first_seed_at_its_rate(module, tmp_path, monkeypatch, capsys):
    models = [{"label": "cache-1", "learning_rate": 0.002}, {"label": "transformer++", "learning_rate": 0.004}]
    (tmp_path / "comparison.json").write_text(json.dumps({"models": models}))
    asked = []

    def run(command, **options):
        asked.append(command)
        right = 0.5 if "cache-1" in command[4] else 0.25
        tasks = [score(task, metric, right, 100, 0.25) for task in module.METRICS for metric in ("acc", "acc_norm")]
        return SimpleNamespace(stdout=json.dumps({"tasks": tasks}))

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(
        sys, "argv", ["proxy_downstream.py", str(tmp_path), "--task-data", "data", "--limit", "100", "--devices", "cpu,cpu"]
    )
    module.main()
    exports = [str(tmp_path / name / "export") for name in ("cache-1-rate-0.002-0", "transformer---rate-0.004-0")]
    assert sorted(command[4] for command in asked) == exports
    assert all(command[-4:] == ["--task-data", "data", "--limit", "100"] for command in asked)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows[2:]] == ["chance", "cache-1", "transformer++"]
    # sqrt(0.5 * 0.5 / 100 / 6) * 1.96
    assert rows[3][1:] == ["50.0"] * 6 + ["50.0 ± 4.0"]
    assert list(json.loads((tmp_path / "downstream.json").read_text())["models"]) == ["cache-1", "transformer++"]
    # At another rate the model is another; what was scored is kept.
    asked.clear()
    models[1]["learning_rate"] = 0.001
    (tmp_path / "comparison.json").write_text(json.dumps({"models": models}))
    module.main()
    assert [command[4] for command in asked] == [str(tmp_path / "transformer---rate-0.001-0" / "export")]
    assert list(json.loads((tmp_path / "downstream.json").read_text())["models"]) == ["cache-1", "transformer++"]


def test_normalised_accuracy_counts_where_it_is_usual(module):
    scores = [
        score(task, metric, {"acc": 0.1, "acc_norm": 0.9}[metric], 10, 0.25) for task in module.METRICS for metric in ("acc", "acc_norm")
    ]
    found = {task: each["value"] for task, each in module.accuracies(scores).items()}
    assert found == dict.fromkeys(found, 0.1) | {"hellaswag": 0.9, "arc_challenge": 0.9}
