"""Places that cannot be written: one sentence and exit code 2, before the work, whichever command was to write there."""

import os
from pathlib import Path

import pytest

from cli.conftest import run_command
from stored_run import kept_run

FIGURES = ["figures", "run", "--format", "png", "--out"]
# What names a folder makes it; what names a file needs its folder.
FOLDERS = {
    "figures": FIGURES,
    "inspect": ["inspect", "run", "--plot"],
    "export-best": ["export-best", "run", "--out"],
    "evolve": ["evolve", "--workers", "0", "--run-dir"],
    "train": ["train", "11111-91111", "--tokens", "4096", "--out"],
    "compare": ["compare", "run", "--candidates", "0", "--tokens", "4096", "--out"],
    "compare --searches": ["compare", "--searches", "ga", "--seeds", "2", "--runs"],
    "benchmark": ["benchmark", "--operators", "--classes", "SA-1", "--lengths", "32,64", "--width", "16", "--out"],
    "benchmark --decoding": ["benchmark", "--decoding", "--genome", "11111-91111", "--width", "16", "--lengths", "32", "--out"],
}
FILES = {
    "report": ["report", "run", "--out"],
    "decode": ["decode", "11111-91111", "--matrix-length", "8", "--matrices"],
    "data train-tokenizer": ["data", "train-tokenizer", "--output"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("output")
    kept_run(path / "run")
    (path / "file").write_text("mine")
    return path


@pytest.fixture(autouse=True)
def in_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)


@pytest.mark.parametrize("command", FOLDERS)
def test_a_folder_below_a_file_is_refused(command, folder):
    before = sorted(folder.rglob("*"))
    sentence = run_command(*FOLDERS[command], "file/below").sentence()
    assert sentence.startswith("file/below") and sentence.endswith((" cannot be made: file is a file", " cannot be made: Not a directory"))
    assert sorted(folder.rglob("*")) == before and Path("file").read_text() == "mine"


@pytest.mark.parametrize("command", FILES)
@pytest.mark.parametrize("place", ["file", "none"])
def test_a_file_needs_a_folder_that_is_there(command, place, folder):
    before = sorted(folder.rglob("*"))
    sentence = run_command(*FILES[command], f"{place}/new.png").sentence()
    assert sentence == f"{place} is no folder, so new.png cannot be written there"
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("command", FOLDERS | FILES)
def test_what_permits_no_new_files_is_refused(command, folder, monkeypatch):
    """Whoever runs the tests may be allowed everything, so the system's answer is given for it."""
    Path("closed").mkdir(exist_ok=True)
    allowed, make, open_ = os.access, os.mkdir, os.open

    def access(path, mode, **more):
        return Path(path).name != "closed" and allowed(path, mode, **more)

    def refuse(function):
        def call(path, *more, **named):
            if "closed" in Path(os.fsdecode(path)).parts[:-1]:
                raise PermissionError(13, os.strerror(13), os.fsdecode(path))
            return function(path, *more, **named)

        return call

    monkeypatch.setattr(os, "access", access)
    monkeypatch.setattr(os, "mkdir", refuse(make))
    monkeypatch.setattr(os, "open", refuse(open_))
    sentence = run_command(*(FOLDERS | FILES)[command], "closed/new.png").sentence()
    assert sentence.startswith("closed/new.png") and (sentence.endswith("Permission denied") or "permits no new files" in sentence), (
        sentence
    )
    assert list(Path("closed").iterdir()) == []


def test_figures_that_cannot_be_written_come_before_what_is_printed():
    Path("plots").mkdir()
    Path("plots/genomes.png").write_text("mine")
    sentence = run_command("inspect", "run", "--plot", "plots").sentence()
    assert sentence == "plots/genomes.png exists already; nothing is overwritten: give another folder with --plot"


def test_a_disk_that_fails_is_no_bad_input(monkeypatch):
    """Exit code 1: the same command works once there is room."""

    def full(*_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("star_search.runs.atomic._write_new", full)
    ended = run_command("report", "run", "--out", "report.html")
    assert (ended.code, ended.err) == (1, "star-search: report.html cannot be written: No space left on device\n")
