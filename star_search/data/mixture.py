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


@dataclass(frozen=True)
class Mixture:
    """Chosen subsets by name, None for all of them; their shares, which sum to 1, None for what the source has."""

    names: tuple[str, ...] | None
    shares: dict[str, float] | None

    @classmethod
    def from_config(cls, config: DataConfig) -> Mixture:
        """Read `data.subsets`: a preset, a list of names, or weights by name.

        Raises:
            InputError: for a preset that does not exist.
        """
        subsets = config.subsets
        if isinstance(subsets, str):
            if subsets not in PRESETS:
                raise InputError(f"data.subsets {subsets} is no preset{did_you_mean(subsets, PRESETS)}")
            subsets = PRESETS[subsets]
        if isinstance(subsets, dict):
            total = math.fsum(subsets.values())
            return cls(tuple(sorted(subsets)), {name: weight / total for name, weight in sorted(subsets.items())})
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
