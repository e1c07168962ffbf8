"""What a worker is handed, and what it hands back; without torch, so that the driver stays light."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from star_search.objectives.racing import Rivals
from star_search.runs.records import CandidateRecord, Outcome

if TYPE_CHECKING:
    from star_search.training.progress import Progress


@dataclass(frozen=True, slots=True)
class Assignment:
    """One candidate to assess: who it is, where its weights go, and where it came from."""

    id: int
    generation: int
    genome: str
    canonical: str
    weights_path: str
    lineage: dict[str, Any] = field(default_factory=dict)
    rivals: Rivals | None = None

    def seed(self, run_seed: int) -> int:
        """Return the candidate's seed, drawn from its architecture and the run's seed alone."""
        return int.from_bytes(sha256(f"{run_seed}:{self.canonical}".encode()).digest()[:6])

    def record(self, run_seed: int, outcome: Outcome, reason: str, objectives: dict[str, float], **rest: Any) -> CandidateRecord:
        """Return the candidate's record."""
        values: dict[str, Any] = {"tokens": 0, "details": {}, "measured": {}, **rest}
        return CandidateRecord(
            id=self.id,
            generation=self.generation,
            genome=self.genome,
            canonical=self.canonical,
            outcome=outcome,
            reason=reason,
            objectives=objectives,
            seed=self.seed(run_seed),
            lineage=self.lineage,
            **values,
        )


@dataclass(frozen=True, slots=True)
class Sign:
    """A sign of life: which worker is at which candidate, and how far its training is; no progress when it begins."""

    assignment: Assignment
    worker: str
    progress: Progress | None = None


@dataclass(frozen=True, slots=True)
class Assessed:
    """A candidate's record, and the traceback where it crashed."""

    record: CandidateRecord
    traceback: str = ""

    def measured_with(self, **measured: object) -> Assessed:
        """Return the same with more that was measured."""
        return replace(self, record=replace(self.record, measured=self.record.measured | measured))
