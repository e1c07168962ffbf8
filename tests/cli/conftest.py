"""The installed program called in this process, small configurations, and one finished run to look at."""

import contextlib
import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from evolution.small_search import small_values, write_text_source
from star_search.runs.directory import RunDirectory


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    def sentence(self) -> str:
        """Return the one sentence of a refusal; anything else on either stream fails."""
        assert self.code == 2, self
        assert self.out == ""
        assert self.err.endswith("\n")
        (line,) = self.err.splitlines()
        assert line.startswith("star-search: ")
        return line.removeprefix("star-search: ")


def run_command(*arguments: object) -> Ended:
    """Run `star-search` in this process, as its entry point does."""
    from star_search.cli import main

    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["star-search", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as caught:
            main()
    finally:
        sys.argv = before
    return Ended(caught.value.code or 0, out.getvalue(), err.getvalue())


@pytest.fixture(autouse=True)
def quick_dry_runs(without_probe: None) -> None:
    """Here no dry run tries out its prediction unless a test says for how long."""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def command(here: Path) -> Callable[..., Ended]:
    """Return a caller of `star-search` in an empty folder."""
    return run_command


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text_source(tmp_path_factory.mktemp("text"))


def write_configuration(folder: Path, source: Path, **changes: Any) -> Path:
    """Write a configuration of twelve candidates that train for a tenth of a second each; sections among `changes` are merged in."""
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(small_values(source, **changes)))
    return path


@pytest.fixture
def configuration(tmp_path: Path, source: Path) -> Path:
    return write_configuration(tmp_path, source)


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory: pytest.TempPathFactory, source: Path) -> tuple[RunDirectory, Ended]:
    folder = tmp_path_factory.mktemp("finished")
    ended = run_command("evolve", "--config", write_configuration(folder, source), "--run-dir", folder / "run")
    assert ended.code == 0, ended
    return RunDirectory.open(folder / "run"), ended


@pytest.fixture
def finished(finished_once: tuple[RunDirectory, Ended]) -> RunDirectory:
    """A finished run of three generations of four; tests copy it before they change it."""
    return finished_once[0]


@pytest.fixture(scope="session")
def tested(tmp_path_factory: pytest.TempPathFactory, source: Path) -> RunDirectory:
    """A run of eight candidates over a text with a test split."""
    folder = tmp_path_factory.mktemp("tested")
    changes: dict[str, Any] = {"data": {"test_fraction": 0.2, "validation_fraction": 0.2}, "algorithm": {"generations": 1}}
    ended = run_command("evolve", "--config", write_configuration(folder, source, **changes), "--run-dir", folder / "run")
    assert ended.code == 0, ended
    return RunDirectory.open(folder / "run")
