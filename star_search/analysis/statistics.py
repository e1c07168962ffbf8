"""Paired comparisons over few seeds: a confidence interval and a test that assumes nothing of the distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

EXACT_PAIRS = 14
DRAWS = 100_000
RESAMPLES = 10_000
NORMAL_95 = 1.959963984540054  # of a normal distribution, 95 % lie within so many standard deviations


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """Differences, first less second: their mean, its 95 % bootstrap interval, and p of a one-sided sign-flip test that it is above 0."""

    pairs: int
    mean: float
    lower: float
    upper: float
    p_value: float

    def sentence(self) -> str:
        """Return the result in words."""
        return (
            f"mean difference {self.mean:+.4f}, 95 % interval {self.lower:+.4f} to {self.upper:+.4f}; "
            f"one-sided sign-flip test p = {self.p_value:.3f} ({self.pairs} pairs)"
        )


def paired_comparison(first: Sequence[float], second: Sequence[float]) -> PairedComparison:
    """Compare two samples that are paired by seed."""
    differences = np.array(first, dtype=float) - np.array(second, dtype=float)
    lower, upper = confidence_interval(differences)
    return PairedComparison(len(differences), float(differences.mean()), lower, upper, sign_flip_p_value(differences))


def confidence_interval(values: Sequence[float] | NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of the mean, from a fixed seed."""
    sample = np.array(values, dtype=float)
    means = np.random.default_rng(0).choice(sample, (RESAMPLES, len(sample))).mean(1)
    lower, upper = np.quantile(means, (0.025, 0.975))
    return float(lower), float(upper)


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share seen among `count` items (Wilson 1927): inside of 0 to 1 at any share."""
    squared = NORMAL_95**2
    middle, spread = share + squared / (2 * count), math.sqrt(share * (1 - share) / count + squared / (4 * count**2))
    scale = 1 + squared / count
    return max(0.0, (middle - NORMAL_95 * spread) / scale), min(1.0, (middle + NORMAL_95 * spread) / scale)


def sign_flip_p_value(differences: NDArray[np.float64]) -> float:
    """Return the share of sign assignments whose mean is at least the one seen: of all up to 14 pairs, beyond of 100,000 drawn."""
    count = len(differences)
    if count <= EXACT_PAIRS:
        signs = np.array(list(product((1, -1), repeat=count)))
        return float((signs @ differences >= differences.sum() - 1e-12).mean())
    signs = np.random.default_rng(0).choice([1, -1], (DRAWS, count))
    return float((1 + (signs @ differences >= differences.sum() - 1e-12).sum()) / (1 + DRAWS))
