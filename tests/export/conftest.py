"""Runs made by hand, the command, and a hub that is this session's own."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save
from typer.testing import CliRunner

from export.hand_made import SIZES, configuration, generation_of, lively_model, provenance, record_of
from star_search.config import SearchConfig
from star_search.runs.atomic import write_bytes
from star_search.runs.directory import RunDirectory
from star_search.runs.records import CandidateRecord, Outcome

MakeRun = Callable[..., RunDirectory]


@pytest.fixture
def make_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeRun:
    """Return a maker of runs in ./runs; candidates of `front` get weights."""
    monkeypatch.chdir(tmp_path)

    def make(config: SearchConfig, records: list[CandidateRecord], front: list[int], name: str = "tiny", **found: Any) -> RunDirectory:
        Path("runs").mkdir(exist_ok=True)
        run = RunDirectory.create(Path("runs") / name, config.name, config.to_yaml(), provenance(**found))
        for record in records:
            run.write_candidate(record)
        for number in front:
            model = lively_model(records[number].canonical, config, number)
            write_bytes(run.weights_path(number), save(model.state_dict()))
        ids = [record.id for record in records]
        run.write_generation(generation_of(0, ids, ids, front))
        return run

    return make


@pytest.fixture
def sizes_run(make_run: MakeRun) -> RunDirectory:
    """Five candidates: the front 0, 1, 2, from small to good; 3, dominated; 4, unstable."""
    config = configuration(2)
    records = [
        record_of(number, genome, config, perplexity) for number, (genome, perplexity) in enumerate(zip(SIZES, (9, 5, 4, 4.5), strict=True))
    ]
    return make_run(config, [*records, record_of(4, "71111-91111", config, 1, Outcome.unstable)], front=[0, 1, 2])


@pytest.fixture
def export(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a caller of `export-best` that gives what `--json` prints."""

    def call(*arguments: str) -> Any:
        from star_search.cli.app import app

        result = CliRunner().invoke(app, ["export-best", *arguments, "--json"], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return call


@pytest.fixture
def command(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Return a caller of the installed program that gives the exit code, stdout and stderr."""

    from star_search.cli import main

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["star-search", "export-best", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        output = capsys.readouterr()
        return caught.value.code or 0, output.out, output.err

    return call


@pytest.fixture(autouse=True, scope="session")
def own_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Code of loaded folders is copied into this session's folder, not the user's cache; nothing is fetched."""
    dynamic = pytest.importorskip("transformers.dynamic_module_utils")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dynamic, "HF_MODULES_CACHE", str(tmp_path_factory.mktemp("modules")))
        yield
