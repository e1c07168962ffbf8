"""The folder of one training: its plan, log, checkpoints, result and exported model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from star_search.errors import InputError, unwritable
from star_search.finalists.plan import Plan
from star_search.runs.atomic import remove_leftovers, write_json, write_text
from star_search.runs.lock import RunLock
from star_search.runs.log import append_line, read_lines
from star_search.runs.reading import needed, read_json

PLAN, RESULT, LOG, CONFIGURATION, EXPORT = "training.json", "result.json", "log.jsonl", "config.yaml", "export"
KEPT_CHECKPOINTS = 2


@dataclass(frozen=True)
class TrainingFolder:
    """A training on disk; only a process inside `writing()` may write to it."""

    path: Path

    @classmethod
    def create(cls, path: Path, plan: Plan) -> TrainingFolder:
        """Begin a training in a new or empty folder.

        Raises:
            InputError: when the folder holds anything.
        """
        try:
            occupied = path.is_file() or (path.is_dir() and any(path.iterdir()))
            if not occupied:
                path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(path, error, "made") from None
        if occupied:
            further = "--resume continues the training that it holds" if is_training(path) else "give a new or empty folder with --out"
            raise InputError(f"{path} exists already; nothing is overwritten: {further}")
        write_text(path / CONFIGURATION, plan.search.to_yaml())
        write_json(path / PLAN, plan.as_json())
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> TrainingFolder:
        """Open a training.

        Raises:
            InputError: when there is none.
        """
        if not is_training(path):
            raise InputError(f"{path} holds no training: it has no {PLAN}" if path.exists() else f"{path} does not exist")
        return cls(path)

    @property
    def plan(self) -> Plan:
        """What is trained."""
        return Plan.read(self.path / PLAN)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the lock, leftovers of killed writers removed."""
        with RunLock(self.path):
            for folder in (self.path, self.path / "checkpoints"):
                if folder.is_dir():
                    remove_leftovers(folder)
            yield

    def checkpoint_path(self, step: int) -> Path:
        """Return where the checkpoint after so many steps is stored."""
        return self.path / "checkpoints" / f"step-{step:08d}.safetensors"

    def checkpoints(self) -> list[Path]:
        """Return the checkpoints, oldest first.

        Raises:
            InputError: when their folder cannot be read.
        """
        folder = self.path / "checkpoints"
        try:
            found = list(folder.iterdir()) if folder.is_dir() else []
        except OSError as error:
            raise InputError(f"{folder} cannot be read: {error.strerror}") from None
        return sorted(path for path in found if re.fullmatch(r"step-\d{8,}\.safetensors", path.name))

    def prune(self) -> None:
        """Delete all checkpoints but the newest."""
        for path in self.checkpoints()[:-KEPT_CHECKPOINTS]:
            path.unlink(missing_ok=True)

    def log(self, event: str, **fields: object) -> None:
        """Append an event to the log."""
        append_line(self.path / LOG, event, **fields)

    def events(self) -> list[dict[str, Any]]:
        """Return the log; after a kill, the steps since the last checkpoint stand in it twice."""
        return read_lines(self.path / LOG)

    @property
    def export_path(self) -> Path:
        """Where the trained model is exported to."""
        return self.path / EXPORT

    def result(self) -> dict[str, Any] | None:
        """Return what came of the training, nothing before it has ended.

        Raises:
            InputError: when the file is damaged.
        """
        path = self.path / RESULT
        if not path.is_file():
            return None
        found = needed(read_json, path)
        for key in ("tokens", "fingerprint", "validation", "test", "measured"):
            if key not in found:
                raise InputError(f"{path} is damaged: {key} is missing")
        return found

    def write_result(self, result: dict[str, Any]) -> None:
        """Store what came of the training, which makes it count as finished."""
        write_json(self.path / RESULT, result)


def is_training(path: Path) -> bool:
    """Return whether a folder holds a training."""
    return (path / PLAN).is_file()
