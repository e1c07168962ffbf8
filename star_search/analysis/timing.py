"""Where a search's wall time went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain

from star_search.runs.records import CandidateRecord


@dataclass(frozen=True, slots=True)
class WallTime:
    """Seconds of wall time, seconds with at least one candidate in training or evaluation, seconds summed over workers, their number."""

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
    """Return the union of the candidates' busy intervals against `seconds` of wall time; tries that a worker took with it count too.

    Workers are as many as were busy at once: one that was started again has another process, and is no other worker.
    """
    busy, reached = 0.0, float("-inf")
    intervals = sorted(chain.from_iterable(map(_intervals, records)))
    for start, end in intervals:
        busy += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    changes = sorted([(start, 1) for start, _ in intervals] + [(end, -1) for _, end in intervals])
    workers = max(accumulate(change for _, change in changes), default=1)
    return WallTime(seconds, busy, sum(end - start for start, end in intervals), workers)


def _intervals(record: CandidateRecord) -> list[tuple[float, float]]:
    found = [*record.measured.get("lost_busy", []), *([record.measured["busy"]] if "busy" in record.measured else [])]
    return [(start, end) for start, end in found]
