"""Where a search's wall time went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from star_search.runs.records import CandidateRecord


@dataclass(frozen=True, slots=True)
class WallTime:
    """Seconds of wall time, and seconds in which at least one candidate was in training or evaluation steps."""

    seconds: float
    busy_seconds: float

    @property
    def busy_share(self) -> float:
        """The share of the wall time that was training or evaluation."""
        return min(1.0, self.busy_seconds / self.seconds)


def split_wall_time(records: Sequence[CandidateRecord], seconds: float) -> WallTime:
    """Return the union of the candidates' busy intervals against `seconds` of wall time."""
    busy, reached = 0.0, float("-inf")
    for start, end in sorted(tuple(record.measured["busy"]) for record in records if "busy" in record.measured):
        busy += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return WallTime(seconds, busy)
