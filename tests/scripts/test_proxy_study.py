"""The script that carries a search of the proxy study from one machine to the next."""

import json
import shutil
import sys
import tarfile
from pathlib import Path

import pytest

from evolution.small_search import archive_of
from scripts.conftest import SCRIPTS, loaded
from star_search.genome.catalogue import load_catalogue
from star_search.genome.encoding import Genome
from star_search.runs.directory import RunDirectory

TINY = [
    *("data.source=embedded", "data.held_out_source=null", "data.tokenizer=bytes", "data.validation_tokens=1024"),
    *("space.depth=2", "space.width=64", "algorithm.population=3", "algorithm.generations=1"),
    *("training.tokens=512", "training.sequence_length=32", "training.batch_tokens=64", "training.precision=float32"),
    "training.engine=auto",
    *("training.unigram_deadline_tokens=null", "workers.count=0", "workers.device=cpu"),
]
# Enough for most to be better than a unigram.
LEARNING = ["training.tokens=32768", "training.batch_tokens=256", "training.learning_rate=1e-2", "training.warmup_steps=10"]
OPTIONS = [part for change in TINY for part in ("--set", change)]


@pytest.fixture
def main(tmp_path, monkeypatch):
    """Give the script's main function, called where the configurations are and nothing else is."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(SCRIPTS.parent / "configs/proxy", "configs/proxy")
    with loaded("proxy_study") as module:

        def call(*arguments, step="cache"):
            monkeypatch.setattr(sys, "argv", ["proxy_study.py", step, "--out", "packed", *map(str, arguments)])
            return module.main()

        call.module = module
        yield call


def test_interrupted_and_carried_it_ends_as_in_one_go(main, monkeypatch):
    assert main("--seconds", 300, *OPTIONS) == 0
    whole = archive_of(RunDirectory.open(Path("runs/proxy/cache")))
    shutil.rmtree("runs")
    shutil.rmtree("packed")
    assert main("--seconds", 300, *OPTIONS, "--max-tokens", 1024) == 0
    with tarfile.open("packed/cache.tar.xz") as packed:
        names = packed.getnames()
    assert "cache/run.json" in names
    assert not any("weights" in name for name in names)
    shutil.rmtree("runs")
    assert main("--seconds", 300, "--records", "packed", *OPTIONS) == 0
    carried = archive_of(RunDirectory.open(Path("runs/proxy/cache")))
    assert carried[:2] == whole[:2]


def test_it_is_interrupted_when_its_time_is_over(main):
    assert main("--seconds", 8, *OPTIONS, "--set", "training.tokens=5000000", "--set", "algorithm.population=300") == 0
    assert Path("packed/cache.tar.xz").exists()


def test_where_the_repository_lies_is_not_packed(main):
    lines = "data:\n  source: {}corpus/proxy/train\n"
    files = {
        "config.yaml": lines.format("/home/me/here/configs/proxy/../../../"),
        "one/training.json": '"source": "/x/configs/proxy/../../../corpus/a"',
    }
    for name, text in files.items():
        Path("runs/search", name).parent.mkdir(parents=True, exist_ok=True)
        Path("runs/search", name).write_text(text)
    main.module.pack(Path("runs/search"), Path("packed/search.tar.xz"))
    with tarfile.open("packed/search.tar.xz") as packed:
        packed.extractall("again", filter="data")
    assert Path("again/search/config.yaml").read_text() == lines.format("")
    assert Path("again/search/one/training.json").read_text() == '"source": "corpus/a"'


def test_what_the_search_refuses_is_refused(main):
    assert main("--seconds", 60, "--set", "space.width=0") == 2
    assert not Path("packed").exists()


@pytest.mark.parametrize("catalogue", ["paper", "star"])
def test_the_third_baseline_has_sa_conv_in_every_catalogue(main, catalogue):
    first = Genome.parse(main.module.WITH_SA_CONV[catalogue]).livs[0]
    assert load_catalogue(catalogue).classes[first.liv_class].name == "SA-Conv"


def test_finalists_are_chosen_by_the_rule_and_trained_beside_baselines(main):
    """Of candidates not above Transformer++ those of the smallest cache, then those of the lowest perplexity."""
    learning = [part for change in LEARNING for part in ("--set", change)]
    assert main("--seconds", 300, *OPTIONS, *learning) == 0
    trained = [*OPTIONS[: OPTIONS.index("workers.count=0") - 1], *learning]
    assert main("--seconds", 300, *trained, "--quiet", step="transformer++") == 0
    records = [record for record in RunDirectory.open(Path("runs/proxy/cache")).read_candidates()[0] if record.outcome == "ok"]
    scores = {record.id: (record.objectives["perplexity"], record.objectives["cache_bytes"]) for record in records}
    by_perplexity = sorted(scores, key=lambda number: scores[number][0])
    for reference in (0.0, scores[by_perplexity[1]][0], 1e9):
        Path("runs/proxy/transformer++/result.json").write_text(json.dumps({"validation": {"perplexity": reference}}))
        good = [number for number in by_perplexity if scores[number][0] <= reference]
        expected = [*sorted(good, key=lambda number: scores[number][1]), *(number for number in by_perplexity if number not in good)]
        assert [record.id for record in main.module.chosen("cache")] == expected[:8]
        distances = {abs(scores[number][0] - reference): number for number in reversed(expected[1:8])}
        assert main.module.nearest(main.module.chosen("cache")).id == distances[min(distances)]
    quick = ("--seeds", 2, "--learning-rates", "1e-3,1e-2", "--tokens", 2048, "--device", "cpu")
    assert main("--seconds", 300, *quick, step="finalists-cache") == 0
    with tarfile.open("packed/finalists-cache.tar.xz") as packed:
        names = packed.getnames()
    assert "finalists-cache/comparison.json" in names
    assert not any("safetensors" in name for name in names)
    trained = json.loads(Path("runs/proxy/finalists-cache/comparison.json").read_text())
    # Two seeds at the chosen rate; of the other rates results alone.
    assert sum(name.endswith("log.jsonl") for name in names) == 2 * len(trained["models"])
    assert sum(name.endswith("result.json") for name in names) == 3 * len(trained["models"])
    # Elsewhere it goes on from what was packed.
    shutil.rmtree("runs/proxy/finalists-cache")
    assert main("--seconds", 300, *quick, "--records", "packed", step="finalists-cache") == 0
    again = json.loads(Path("runs/proxy/finalists-cache/comparison.json").read_text())
    assert [each["perplexities"] for each in again["models"]] == [each["perplexities"] for each in trained["models"]]
