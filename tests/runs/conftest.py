"""Records and runs to test with."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from star_search.runs import CandidateRecord, GenerationRecord, Outcome, RunDirectory

CANDIDATE = CandidateRecord(
    id=3,
    generation=1,
    genome="21211-31112",
    canonical="11111-31111",
    outcome=Outcome.ok,
    reason="",
    objectives={"perplexity": 7.25, "cache_bytes": 4096},
    seed=2**63,
    tokens=131_072,
    details={"curve": [[1, 5.5], [2, 4.25]], "note": "é", "none": None, "flag": True},
    lineage={"parents": [0, 1]},
    measured={"seconds": 1.5, "worker": "w0"},
)
GENERATION = GenerationRecord(
    generation=1,
    offspring=[2, 3],
    population=[0, 3],
    front=[3],
    rates={"repair": 0.5},
    outcomes={"ok": 1, "unstable": 1},
    tokens=262_144,
    measured={"seconds": 3.0},
)


@pytest.fixture
def candidate() -> CandidateRecord:
    return CANDIDATE


@pytest.fixture
def generation() -> GenerationRecord:
    return GENERATION


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory.create(tmp_path / "runs" / "quick", "quick", "name: quick\n", {"seed": 0})


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., RunDirectory]:
    def make(folder: str, name: str = "quick", generations: int = 0) -> RunDirectory:
        run = RunDirectory.create(tmp_path / "runs" / folder, name, "", {})
        for number in range(generations):
            run.write_generation(replace(GENERATION, generation=number))
        return run

    return make


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start Python on a text and its arguments; whatever still runs is killed after the test."""
    processes = []

    def begin(code: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", code, *map(str, arguments)]
        processes.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()
        process.communicate()
