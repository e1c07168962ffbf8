"""The learning rate of a compared model: the best of a grid by validation perplexity, with seed 0."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from star_search.errors import InputError

EDGE = "at the edge of the grid"


def read_rates(text: str) -> list[float]:
    """Return the grid that `--learning-rates` names, lowest first.

    Raises:
        InputError: for what is no positive number, or stands twice.
    """
    rates = [_positive(part) for part in text.split(",")]
    known = sorted(rate for rate in rates if rate is not None)
    if len(known) < len(rates):
        raise InputError(f"--learning-rates must be positive numbers, joined by commas, got {text}")
    twice = next((rate for rate in known if known.count(rate) > 1), None)
    if twice is not None:
        raise InputError(f"--learning-rates names {twice:g} twice: {text}")
    return known


def _positive(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 < number < math.inf else None


@dataclass(frozen=True)
class Tuning:
    """What one model reached on validation text at every rate of the grid: its perplexity, or why the training failed."""

    reached: Mapping[float, float | str]

    @classmethod
    def of(cls, results: Mapping[float, dict[str, Any] | str]) -> Tuning:
        """Read the perplexities of trainings by rate, the lowest rate first, in whatever order they ended."""
        found = ((rate, results[rate]) for rate in sorted(results))
        return cls({rate: each if isinstance(each, str) else each["validation"]["perplexity"] for rate, each in found})

    @property
    def best(self) -> float | None:
        """The rate of the lowest perplexity, the lowest such rate; nothing where all trainings failed."""
        known = [(value, rate) for rate, value in self.reached.items() if not isinstance(value, str)]
        return min(known)[1] if known else None

    @property
    def is_at_edge(self) -> bool:
        """Whether a better rate may lie beyond the grid."""
        return self.best in (min(self.reached), max(self.reached))

    @property
    def failures(self) -> list[str]:
        """Why trainings failed."""
        return [f"at learning rate {rate:g}: {value}" for rate, value in self.reached.items() if isinstance(value, str)]

    def as_json(self) -> dict[str, Any]:
        """Return the choice and all that it was made from."""
        grid = [
            {
                "learning_rate": rate,
                "validation_perplexity": None if isinstance(value, str) else value,
                "failure": value if isinstance(value, str) else None,
            }
            for rate, value in self.reached.items()
        ]
        return {"learning_rate": self.best, "at_edge_of_grid": self.is_at_edge, "grid": grid}

    def cells(self) -> list[str]:
        """Return the choice and what every rate reached."""
        chosen = "failed" if self.best is None else f"{self.best:g}{f', {EDGE}' if self.is_at_edge else ''}"
        return [chosen, *("failed" if isinstance(value, str) else f"{value:.3f}" for value in self.reached.values())]
