"""An exported folder made by hand, and the installed program."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import save

from export.hand_made import configuration, generation_of, lively_model, provenance, record_of
from star_search.analysis.run_view import RunView
from star_search.export.folder import exported_candidate, write_folder
from star_search.runs.atomic import write_bytes
from star_search.runs.directory import RunDirectory

GENOME = "71111-91111-31111"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return ./model, whose weights are far from their start."""
    monkeypatch.chdir(tmp_path)
    config = configuration(3, data={"validation_tokens": 512})
    run = RunDirectory.create(tmp_path / "run", config.name, config.to_yaml(), provenance())
    record = record_of(0, GENOME, config, 5.0)
    run.write_candidate(record)
    write_bytes(run.weights_path(0), save(lively_model(GENOME, config).state_dict()))
    run.write_generation(generation_of(0, [0], [0], [0]))
    write_folder(exported_candidate(RunView.read(run), record, run.weights_path(0)), Path("model"))
    return Path("model")


@pytest.fixture
def command(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Return a caller of `star-search evaluate` that gives the exit code, stdout and stderr."""
    from star_search.cli import main

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["star-search", "evaluate", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        output = capsys.readouterr()
        return caught.value.code or 0, output.out, output.err

    return call


@pytest.fixture
def change(folder: Path) -> Callable[..., None]:
    """Return a function that changes keys of the folder's config.json."""

    def write(**values: object) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return write
