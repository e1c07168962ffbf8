"""Faults on purpose inside a training, in this process or in a worker, and a mark that says whether a training step is under way.

`faulty_train` stands in for `assessment.train`: it appends the genome to `trained.txt` and does to it what the plan says. A worker
process gets it through `serve`, which stands in for `workers._serve`; plan and folder travel in the environment. No torch at import.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PLAN = "STAR_TEST_PLAN"
MARK = "STAR_TEST_MARK"

_patched = False


def fault_by_chance(shares: dict[str, float], canonical: str) -> str:
    """Return the fault that a share of all architectures gets, empty for the rest; the architecture alone decides."""
    drawn = int.from_bytes(sha256(canonical.encode()).digest()[:4]) / 2**32
    for fault, share in shares.items():
        if drawn < share:
            return fault
        drawn -= share
    return ""


def faulty_train(
    train: Callable[..., Any], folder: Path, plan: dict[str, str], shares: dict[str, float] | None = None
) -> Callable[..., Any]:
    """Return `train` with the faults of the plan, {canonical genome: fault}, and of shares of all architectures."""

    from star_search.objectives.assessment import Assessor

    def wrapped(model: Any, stream: Any, config: Any, unigram_loss: float, report: Callable[[Any], None]) -> Any:
        canonical = model.backbone.genome.format()
        with (folder / "trained.txt").open("a") as file:
            file.write(canonical + "\n")
        tries = trained(folder).count(canonical)
        fault = plan.get(canonical) or fault_by_chance(shares or {}, canonical)
        if fault == "raise":
            raise ValueError("on purpose")
        if fault == "lose once" and tries == 1:
            Assessor._device_answers = lambda self: False
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        if fault == "memory":
            raise MemoryError("DefaultCPUAllocator: can't allocate memory")
        if fault == "nan":
            model.embedding.data[0] = float("nan")
        if fault == "idle":
            config = config.model_copy(update={"learning_rate": 1e-12})
        if fault == "hang":
            time.sleep(600)

        def watch(progress: Any) -> None:
            report(progress)
            if fault == "die" or (fault == "die once" and tries == 1):
                os.kill(os.getpid(), signal.SIGKILL)

        return train(model, stream, config, unigram_loss, watch)

    return wrapped


def trained(folder: Path) -> list[str]:
    """Return the genomes whose training began, in order."""
    path = folder / "trained.txt"
    return path.read_text().split() if path.exists() else []


def serve(pipe: Any, parent: int, config: Any, device: str) -> None:
    """Serve as a worker does, with what the environment asks for."""
    from star_search.evolution import workers

    patch()
    workers._serve(pipe, parent, config, device)


def assess(assignment: Any, config: Any) -> Any:
    """Assess as a Dask worker does, with what the environment asks for."""
    global _patched
    from star_search.evolution import cluster

    if not _patched:
        patch()
        _patched = True
    return cluster._assess(assignment, config)


def end_at_once(pipe: Any, parent: int, config: Any, device: str) -> None:
    """Serve as a worker that cannot start."""
    sys.exit(3)


def hang_at_once(pipe: Any, parent: int, config: Any, device: str) -> None:
    """Serve as a worker that never gets ready."""
    time.sleep(600)


def patch() -> None:
    """Patch this process as the environment asks."""
    from star_search.objectives import assessment
    from star_search.training.steps import EagerSteps

    if PLAN in os.environ:
        values = json.loads(os.environ[PLAN])
        assessment.train = faulty_train(assessment.train, Path(values["folder"]), values["plan"], values.get("shares"))
    if MARK in os.environ:
        EagerSteps.run = _marked(EagerSteps.run, Path(os.environ[MARK]))


def _marked(step: Callable[..., Any], folder: Path) -> Callable[..., Any]:
    """Keep a file of this process at `1` while it is in a training step; what a SIGKILL leaves there is true."""
    descriptor = os.open(folder / str(os.getpid()), os.O_RDWR | os.O_CREAT)

    def marked(*arguments: Any) -> Any:
        os.pwrite(descriptor, b"1", 0)
        try:
            return step(*arguments)
        finally:
            os.pwrite(descriptor, b"0", 0)

    return marked


def main() -> None:
    """Run the command line with this process and its workers patched."""
    from star_search.cli import main as run
    from star_search.evolution import workers

    workers._serve = serve
    if find_spec("distributed") is not None:
        from star_search.evolution import cluster

        cluster._assess = assess
    # With worker processes the driver trains nothing, and need not load torch before they do.
    if "--workers=0" in sys.argv:
        patch()
    run()
