"""Where a search's wall time went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from star_search.runs.records import CandidateRecord


@dataclass(frozen=True, slots=True)
class WallTime:
    """Seconds of wall time, seconds in which at least one candidate was in training or evaluation, and seconds summed over workers."""

    seconds: float
    busy_seconds: float
    worker_seconds: float
    workers: int

    @property
    def busy_share(self) -> float:
        """The share of the wall time that was training or evaluation."""
        return min(1.0, self.busy_seconds / self.seconds)

    @property
    def worker_share(self) -> float:
        """The share of the workers' time that was training or evaluation; the rest is their start and waiting for a generation to end."""
        return min(1.0, self.worker_seconds / (self.seconds * self.workers))


def split_wall_time(records: Sequence[CandidateRecord], seconds: float) -> WallTime:
    """Return the union of the candidates' busy intervals against `seconds` of wall time."""
    busy, reached = 0.0, float("-inf")
    intervals = sorted(tuple(record.measured["busy"]) for record in records if "busy" in record.measured)
    for start, end in intervals:
        busy += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    workers = len({record.measured.get("worker") for record in records}) or 1
    return WallTime(seconds, busy, sum(end - start for start, end in intervals), workers)
