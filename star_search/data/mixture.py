"""Which subsets are taken, and in what shares: RedPajama's and LLaMA's mixtures by name."""

from __future__ import annotations

import math
from dataclasses import dataclass

from star_search.config import DataConfig
from star_search.errors import InputError, did_you_mean

# Tokens of RedPajama-Data-1T in billions, as its card counts them, and sampling proportions of LLaMA (arXiv 2302.13971, table 1).
PRESETS: dict[str, dict[str, float]] = {
    "redpajama": {
        "common_crawl": 878,
        "c4": 175,
        "github": 59,
        "arxiv": 28,
        "book": 26,
        "wikipedia": 24,
        "stackexchange": 20,
    },
    "llama": {
        "common_crawl": 0.67,
        "c4": 0.15,
        "github": 0.045,
        "wikipedia": 0.045,
        "book": 0.045,
        "arxiv": 0.025,
        "stackexchange": 0.02,
    },
}
KNOWN_SUBSETS = tuple(PRESETS["redpajama"])
# Tables of documents count them in 16 bits.
MOST_SUBSETS = 1 << 16


@dataclass(frozen=True)
class Mixture:
    """Chosen subsets by name, None for all of them; their shares, which sum to 1, None for what the source has."""

    names: tuple[str, ...] | None
    shares: dict[str, float] | None

    @classmethod
    def from_config(cls, config: DataConfig) -> Mixture:
        """Read `data.subsets`: a preset, a list of names, or weights by name.

        Raises:
            InputError: for a preset that does not exist, or weights of which no shares can be made.
        """
        subsets = config.subsets
        if isinstance(subsets, str):
            if subsets not in PRESETS:
                raise InputError(f"data.subsets {subsets} is no preset{did_you_mean(subsets, PRESETS)}")
            subsets = PRESETS[subsets]
        if isinstance(subsets, dict):
            return cls(tuple(sorted(subsets)), _shares(subsets))
        return cls(None if subsets is None else tuple(sorted(set(subsets))), None)

    def takes(self, subset: str) -> bool:
        """Tell whether documents of a subset are wanted."""
        return self.names is None or subset in self.names

    def check_present(self, present: set[str], source: str, budget: int | None) -> None:
        """Refuse a choice that the source cannot fill; with a budget of tokens, reading may have ended before a subset came.

        Raises:
            InputError: naming the subset that is missing.
        """
        missing = [name for name in self.names or () if name not in present]
        if missing or self.names == ():
            within = "" if budget is None else f" among what data.tokens {budget} reads (a larger budget, or weights, would look further)"
            wanted = f"names {missing[0]}, which {source} does not have{within}" if missing else "is empty"
            raise InputError(f"data.subsets {wanted}; present: {', '.join(sorted(present))}")

    def quotas(self, available: dict[str, int], most: int) -> dict[str, int]:
        """Return how many tokens of each subset make the largest mixture of at most so many that repeats no document.

        A subset of which there is nothing, as may be in a small split, leaves its share to the others.
        """
        weights = available if self.shares is None else {name: share for name, share in self.shares.items() if available.get(name)}
        whole = sum(weights.values())
        total = min([most, *(available[name] * whole / weight for name, weight in weights.items() if weight)])
        return {name: min(available[name], round(total * weight / whole)) for name, weight in weights.items() if weight}


def check_count(subsets: int, source: str) -> None:
    """Refuse more subsets than tables of documents can tell apart.

    Raises:
        InputError: when there are more.
    """
    if subsets > MOST_SUBSETS:
        raise InputError(f"data.source {source} names more than {MOST_SUBSETS:,} subsets; data.subsets chooses some of them")


def _shares(weights: dict[str, float]) -> dict[str, float]:
    try:
        total = math.fsum(weights.values())
    except OverflowError:
        total = math.inf
    shares = {name: weight / total for name, weight in sorted(weights.items())}
    if not all(shares.values()):
        raise InputError("data.subsets has weights that are too large or too far apart to make shares of")
    return shares
