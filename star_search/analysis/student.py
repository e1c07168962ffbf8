"""Student's t for few seeds: intervals of a mean, and a paired test, corrected for many comparisons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import mean, stdev


def t_probability(t: float, degrees: int) -> float:
    """Return the probability that |T| is at most |t|, in closed form for whole degrees of freedom (Abramowitz and Stegun 26.7.3, .4)."""
    angle = math.atan(abs(t) / math.sqrt(degrees))
    sine, square = math.sin(angle), math.cos(angle) ** 2
    odd = degrees % 2 == 1
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for step in range(degrees // 2):
        if step:
            term *= square * (2 * step / (2 * step + 1) if odd else (2 * step - 1) / (2 * step))
        total += term
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


def t_quantile(share: float, degrees: int) -> float:
    """Return the t below whose size |T| lies with probability `share`, by bisection."""
    low, high = 0.0, 1.0
    while t_probability(high, degrees) < share:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if t_probability(middle, degrees) < share else (low, middle)
    return high


def mean_interval(values: Sequence[float], share: float = 0.95) -> tuple[float, float] | None:
    """Return Student's interval of the mean; nothing of fewer than two values."""
    if len(values) < 2:
        return None
    half = t_quantile(share, len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return mean(values) - half, mean(values) + half


def paired_p_value(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return the two-sided p value of the paired t test that two means are equal; nothing of fewer than two pairs."""
    differences = [a - b for a, b in zip(first, second, strict=True)]
    if len(differences) < 2:
        return None
    spread = stdev(differences)
    if spread == 0:
        return 1.0 if mean(differences) == 0 else 0.0
    return 1 - t_probability(mean(differences) / (spread / math.sqrt(len(differences))), len(differences) - 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values corrected for their number by Holm's method, in their order."""
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda each: p_values[each])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected
