"""Repeated timings, summarised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles


@dataclass(frozen=True)
class Duration:
    """Median and quartiles over the repeats, in seconds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Duration:
        """Summarise repeats."""
        low, _, high = quantiles(seconds, n=4, method="inclusive") if len(seconds) > 1 else [seconds[0]] * 3
        return cls(median(seconds), low, high)

    @property
    def spread(self) -> float:
        """Half the distance of the quartiles over the median."""
        return (self.high - self.low) / (2 * self.median)
