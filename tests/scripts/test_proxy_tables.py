"""The tables of the proxy study, made of packed records."""

import json
import shutil
import sys
import tarfile
from pathlib import Path
from statistics import median

import pytest

from scripts.conftest import SCRIPTS, loaded
from star_search.analysis.run_view import RunView
from star_search.genome.encoding import Genome
from star_search.genome.scaling import scaled
from star_search.runs.directory import RunDirectory


@pytest.fixture
def module(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    with loaded("proxy_tables") as module:
        yield module
    for name in ("proxy_study", "proxy_downstream", "mad"):
        sys.modules.pop(name, None)


def model(label, genome, width, mean, interval):
    return {
        "label": label,
        "genome": genome,
        "width": width,
        "perplexity": mean,
        "interval": interval,
        "learning_rate": 0.002,
        "parameters": 2e6,
    }


def test_packed_records_become_tables(module, stored_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    view = RunView.read(RunDirectory.open(stored_run.path))
    best, other = view.front[:2]
    labels = [f"cache-{each.id}" for each in (best, other)]
    models = [
        model("transformer++", "11111-91111", 16, 80.0, [70.0, 90.0]),
        model(labels[0], best.canonical, view.config.space.width, 50.0, [40.0, 60.0]),
        model(labels[1], best.canonical, view.config.space.width, 75.0, [65.0, 85.0]),
    ]
    shutil.copytree(stored_run.path, "cache")
    Path("finalists-cache").mkdir()
    Path("finalists-cache/comparison.json").write_text(json.dumps({"models": models}))
    Path("packed").mkdir()
    for name in ("cache", "finalists-cache"):
        with tarfile.open(f"packed/{name}.tar.xz", "w:xz") as packed:
            packed.add(name)
    monkeypatch.setattr(sys, "argv", ["proxy_tables.py", "--records", "packed"])
    module.main()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in capsys.readouterr().out.splitlines()]
    search = next(row for row in rows if row[0] == "`cache`")
    first, last = (
        median(record.objectives["perplexity"] for record in each.population if record.outcome == "ok")
        for each in (RunView.read(view.run, 0), view)
    )
    assert search[2] == f"{first:.1f} to {last:.1f}"
    assert search[3].startswith(f"{100 * (last / first - 1):+.0f} % (")
    assert search[-1] == f"{view.progress[0].hypervolume:.3f} to {view.progress[-1].hypervolume:.3f}"
    shown = {row[0]: row for row in rows if len(row) == 6 and row[0] in {*labels, "transformer++, width 16"}}
    assert list(shown) == [*labels, "transformer++, width 16"]
    cache, reference = view.account(best).cache_bytes(1024), module.cache_bytes(view, models[0])
    assert shown[labels[0]][1:5] == ["50.0 (40.0 to 60.0)", "0.002", "2.00", f"{cache / 1e6:.2f}"]
    assert shown[labels[0]][5] == f"below, {100 * (cache / reference - 1):+.0f} %"
    assert shown[labels[1]][5].startswith("not apart,")
    assert shown["transformer++, width 16"][5] == "-"
    large = next(row for row in rows if row[0] == "transformer++")
    # Keys and values of 24 attention LIVs, 2 bytes each.
    assert large[2:] == [f"{24 * 2 * 2048 * 2 * length / 1e6:,.0f}" for length in (1024, 32_768)] + ["-"]
    accounts = [module.account(view, scaled(Genome.parse(each["genome"]), 48, "stack"), 2048) for each in models[:2]]
    share = accounts[1].cache_bytes(32_768) / accounts[0].cache_bytes(32_768) - 1
    assert [row[-1] for row in rows if row[0] in labels][-2:] == [f"{100 * share:+.0f} %"] * 2


def test_parameters_are_held_against_baselines_as_wide(module, stored_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    view = RunView.read(RunDirectory.open(stored_run.path))
    small = model("size-1", view.front[0].canonical, view.config.space.width, 50.0, [40.0, 60.0])
    narrow, wide = (model("transformer++", "11111-91111", width, 80.0, [70.0, 90.0]) for width in (16, 32))
    shutil.copytree(stored_run.path, "runs/proxy/size")
    for name, models in (("finalists-size", [small, narrow]), ("baselines", [small, wide | {"parameters": 8e6}])):
        Path(f"runs/proxy/{name}").mkdir()
        Path(f"runs/proxy/{name}/comparison.json").write_text(json.dumps({"models": models}))
    headings, rows = module.model_table("finalists-size")
    assert headings[5:] == ["against transformer++, width 32"]
    assert [row[0] for row in rows] == ["size-1", "transformer++, width 16", "transformer++, width 32"]
    assert rows[0][5:] == ["below, -75 %"]


def test_noise_is_the_spread_over_seeds(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("runs/proxy/noise").mkdir(parents=True)
    models = [{"label": "transformer++", "perplexities": [90.0, 100.0, 110.0]}]
    Path("runs/proxy/noise/comparison.json").write_text(json.dumps({"models": models}))
    assert list(module.noise_rows()) == [["transformer++", "100.0", "90.0 to 110.0", "10.0 %", "3"]]


def test_ranks_in_a_search_are_held_against_those_of_longer_trainings(module, stored_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    view = RunView.read(RunDirectory.open(stored_run.path))
    found = sorted((record for record in view.records if record.outcome == "ok"), key=lambda record: record.objectives["perplexity"])
    shutil.copytree(stored_run.path, "runs/proxy/cache")
    Path("runs/proxy/finalists-cache").mkdir()

    def write(records):
        models = [model(f"cache-{each.id}", each.canonical, 32, float(place), [0.0, 1.0]) for place, each in enumerate(records)]
        Path("runs/proxy/finalists-cache/comparison.json").write_text(json.dumps({"models": models}))

    write(found[:4])
    assert module.ranks("finalists", ["quality", "cache"]) is None
    write([found[1], found[0], *found[2:6]])
    value, lower, upper, count = module.ranks("finalists", ["quality", "cache"])
    assert value == pytest.approx(1 - 6 * 2 / (6 * 35)) and lower < value < upper <= 1 and count == 6
    write(found[:6])
    assert module.ranks("finalists", ["cache"]) == (1, 1, 1, 6)


def test_a_change_is_of_the_median_and_its_interval_holds_it(module):
    assert module.change([100.0] * 5, [80.0] * 5) == pytest.approx((-0.2, -0.2, -0.2))
    share, lower, upper = module.change([90, 100, 110, 120, 95], [70, 80, 120, 60, 85])
    assert share == pytest.approx(-0.2) and lower < share < upper


def test_controls_are_held_against_random_search_where_both_are_finished(module, stored_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "RUNS", tmp_path)
    for name in ("ga-2", "nsga2-0", "nsga2-1", "random-0", "random-1"):
        shutil.copytree(stored_run.path, f"controls/{name}")
    max(Path("controls/nsga2-1/candidates").iterdir()).unlink()
    view = RunView.read(RunDirectory.open(stored_run.path))
    volume = view.progress[-1].hypervolume
    lowest = min(record.objectives["perplexity"] for record in view.records if record.outcome == "ok")
    genomes = [each.canonical.replace("-", "") for each in view.population]
    pairs = [sum(a != b for a, b in zip(one, other, strict=True)) for one in genomes for other in genomes if one is not other]
    differ = f"{100 * sum(pairs) / len(pairs) / len(genomes[0]):.0f} %"
    assert {row[0]: row[1:] for row in module.control_rows()} == {
        "nsga2": ["0", f"{volume:.3f}", "0.000", f"{lowest:.1f}", differ],
        "random": [
            "0, 1",
            *(f"{value} ({value} to {value})" if value != "-" else value for value in (f"{volume:.3f}", "-", f"{lowest:.1f}")),
            differ,
        ],
    }


def test_benchmarks_and_mad_tasks_stand_there_where_they_were_scored(module, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    tasks = {"hellaswag": "acc_norm", "arc_easy": "acc", "arc_challenge": "acc_norm", "winogrande": "acc", "piqa": "acc", "sciq": "acc"}
    scores = [{"task": f"{name}_local", "metric": metric, "value": 0.5, "items": 100, "chance": 0.25} for name, metric in tasks.items()]
    Path("runs/proxy/transfer-cache").mkdir(parents=True)
    found = {"limit": 100, "models": {"cache-1": {"learning_rate": 0.001, "tasks": scores}}}
    Path("runs/proxy/transfer-cache/downstream.json").write_text(json.dumps(found))
    Path("packed").mkdir()
    known = [("one", "recall", 0.5), ("one", "recall", 0.7), ("one", "copying", 0.4), ("other", "recall", 1.0)]
    lines = [json.dumps({"name": name, "task": task, "accuracy": accuracy}) for name, task, accuracy in known]
    Path("packed/mad.jsonl").write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(sys, "argv", ["proxy_tables.py", "--records", "packed"])
    module.main()
    rows = {
        cells[1]: cells[2:-1]
        for cells in ([each.strip() for each in line.split("|")] for line in capsys.readouterr().out.splitlines())
        if cells[1:]
    }
    assert rows["cache-1"] == ["50.0"] * 6 + ["50.0 ± 4.0"]
    assert rows["chance"][-1] == "25.0"
    assert rows["one"] == ["60.0 (50.0 to 70.0)", "40.0", "50.0"]
    assert rows["other"] == ["100.0", "-", "-"]
