"""`evolve --tensorboard` and `report --tensorboard`: every candidate once, the archive as without, and no search ends because of it."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from evolution.small_search import archive_of
from star_search.analysis import tensorboard
from star_search.analysis.tensorboard import CandidateEvents
from star_search.errors import StarSearchError
from star_search.runs.directory import RunDirectory

installed = pytest.mark.skipif(find_spec("tensorboard") is None, reason="tensorboard is not installed")


def written(run):
    return sorted(path.parent.name for path in (run.path / "tensorboard").glob("*/*"))


@installed
def test_a_search_that_is_stopped_and_resumed_writes_each_candidate_once(command, configuration, finished):
    ended = command("evolve", "--config", configuration, "--tensorboard", "--max-tokens", "10000")
    assert ended.out.endswith("  star-search evolve --resume --run-dir runs/small --tensorboard\n")
    run = RunDirectory.open(Path("runs/small"))
    assert written(run) == [f"{number:05d}" for number in range(5)]
    # As after a kill between a record and its events.
    shutil.rmtree(run.path / "tensorboard" / "00004")
    assert command("evolve", "--resume", "--run-dir", "runs/small", "--tensorboard", "--quiet").code == 0
    assert written(run) == [f"{number:05d}" for number in range(12)]
    assert archive_of(run) == archive_of(finished)


@installed
def test_a_finished_run_is_written_afterwards(command, finished, here):
    shutil.copytree(finished.path, here / "runs" / "small")
    for there in (0, 12):
        ended = command("report", "--tensorboard")
        assert (ended.code, ended.err) == (0, "")
        assert ended.out == f"wrote {12 - there} candidates; {there} were there\nNext: tensorboard --logdir runs/small\n"
    assert len(written(RunDirectory.open(here / "runs" / "small"))) == 12
    assert "--out" in command("report", "--tensorboard", "--out", "x.html").sentence()


@installed
def test_a_search_goes_on_when_events_cannot_be_written(command, configuration, monkeypatch):
    def full(events, record):
        raise StarSearchError(f"{record.id:05d} cannot be written: No space left on device")

    monkeypatch.setattr(CandidateEvents, "write", full)
    ended = command("evolve", "--config", configuration, "--tensorboard", "--set", "algorithm.generations=0")
    assert ended.code == 0
    assert ended.err.count("cannot be written: No space left on device; star-search report --tensorboard writes it later\n") == 4


def test_without_the_package_nothing_begins(command, configuration, here, monkeypatch):
    monkeypatch.setattr(tensorboard, "find_spec", lambda name: None)
    sentence = command("evolve", "--config", configuration, "--tensorboard").sentence()
    assert sentence == "--tensorboard needs a package: pip install 'star-search[tensorboard]'"
    assert list(here.iterdir()) == []
