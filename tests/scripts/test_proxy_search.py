"""The script that carries a search of the proxy study from one machine to the next."""

import shutil
import sys
import tarfile
from pathlib import Path

import pytest

from evolution.small_search import archive_of
from scripts.conftest import SCRIPTS, loaded
from star_search.runs.directory import RunDirectory

TINY = [
    *("data.source=embedded", "data.held_out_source=null", "data.tokenizer=bytes", "data.validation_tokens=1024"),
    *("space.depth=2", "space.width=64", "algorithm.population=3", "algorithm.generations=1"),
    *("training.tokens=512", "training.sequence_length=32", "training.batch_tokens=64", "training.precision=float32"),
    *("training.unigram_deadline_tokens=null", "workers.count=0", "workers.device=cpu"),
]
OPTIONS = [part for change in TINY for part in ("--set", change)]


@pytest.fixture
def main(tmp_path, monkeypatch):
    """Give the script's main function, called where the configurations are and nothing else is."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(SCRIPTS.parent / "configs/proxy", "configs/proxy")
    with loaded("proxy_search") as module:

        def call(*arguments):
            monkeypatch.setattr(sys, "argv", ["proxy_search.py", "cache", "--out", "packed", *map(str, arguments)])
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


def test_what_the_search_refuses_is_refused(main):
    assert main("--seconds", 60, "--set", "space.width=0") == 2
    assert not Path("packed").exists()
