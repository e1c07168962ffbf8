"""Which motifs a search's front, or its last population, holds more or less often than the initial population, by a permutation test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from star_search.analysis.motifs import Motif, genomes_of, motif_counts, population_of
from star_search.analysis.run_view import RunView
from star_search.errors import InputError
from star_search.genome.catalogue import Catalogue
from star_search.genome.encoding import Genome

PERMUTATIONS = 20_000
SIGNIFICANT = 0.05
_AT_ONCE = 2_000
# Of a motif in fewer genomes than this no relabelling is unlikely enough to tell anything; chosen without a look at who holds it.
LEAST_GENOMES = 2


def format_p(value: float) -> str:
    """Return p with four decimals, or that it is below them."""
    return f"{value:.4f}" if value >= 1e-4 else "<0.0001"


@dataclass(frozen=True, slots=True)
class Enrichment:
    """One motif: occurrences per genome in both groups, p of the two-sided permutation test, and p corrected for all motifs."""

    kind: str
    name: str
    selected: float
    initial: float
    p_value: float
    corrected_p_value: float

    @property
    def difference(self) -> float:
        """Occurrences per genome, selected genomes less initial population."""
        return self.selected - self.initial

    @property
    def is_significant(self) -> bool:
        """Whether the corrected p is under 5 %."""
        return self.corrected_p_value < SIGNIFICANT

    def sentence(self, group: str) -> str:
        """Return the finding in words; `group` names the selected genomes."""
        more = "more" if self.difference > 0 else "less"
        return (
            f"the {group} holds {self.kind} {self.name} {more} often: {self.selected:.2f} against {self.initial:.2f} per genome, "
            f"corrected p {format_p(self.corrected_p_value)}"
        )


@dataclass(frozen=True, slots=True)
class MotifStatistics:
    """The test of one run: which genomes were compared, how many, and every motif, the least likely under chance first."""

    group: str
    selected_genomes: int
    initial_genomes: int
    permutations: int
    motifs: list[Enrichment]

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def motif_statistics(view: RunView, permutations: int = PERMUTATIONS, seed: int = 0) -> MotifStatistics:
    """Compare the front of the last generation shown with the population of generation 0; of a single objective, whose front is one
    genome, the last population.

    Raises:
        InputError: when the run has no front or no generation 0 to compare.
    """
    first = next((each for each in view.generations if each.generation == 0), None)
    group, records = ("front", view.front) if len(view.names) > 1 else ("population", view.population)
    selected, initial = genomes_of(view, records), population_of(view, first) if first else []
    if not (selected and initial):
        raise InputError(f"{view.run.path} has no {group if initial else 'generation 0'} to compare")
    motifs = enrichment(selected, initial, view.catalogue, permutations, seed)
    return MotifStatistics(group, len(selected), len(initial), permutations, motifs)


def enrichment(
    selected: Sequence[Genome], initial: Sequence[Genome], catalogue: Catalogue, permutations: int = PERMUTATIONS, seed: int = 0
) -> list[Enrichment]:
    """Return every motif that at least two genomes hold, with p from relabelling which genomes are the selected ones.

    The statistic is the difference of mean occurrences over the pooled standard deviation, which no relabelling changes. The corrected p
    is the share of relabellings whose largest statistic over all motifs reaches the one seen (Westfall and Young, single-step maxT), so
    that the chance of any false finding is at most 5 % at 0.05, however the motifs depend on each other. An architecture in both groups
    counts in both.
    """
    motifs, counts_GM = _count_matrix([*selected, *initial], catalogue)
    varied = counts_GM.std(axis=0) > 0
    scaled_GM = np.where(varied, (counts_GM - counts_GM.mean(0)) / np.where(varied, counts_GM.std(0), 1), 0.0)
    seen_M = np.abs(_differences(scaled_GM, np.arange(len(selected))[None])[0])
    reached_M, reached_by_largest_M = _permuted(scaled_GM, len(selected), seen_M, permutations, seed)
    found = [
        Enrichment(
            motif.kind,
            motif.name,
            float(counts_GM[: len(selected), place].mean()),
            float(counts_GM[len(selected) :, place].mean()),
            float((1 + reached_M[place]) / (1 + permutations)),
            float((1 + reached_by_largest_M[place]) / (1 + permutations)),
        )
        for place, motif in enumerate(motifs)
    ]
    return sorted(found, key=lambda each: (each.corrected_p_value, each.p_value, -abs(each.difference), each.kind, each.name))


def _count_matrix(genomes: Sequence[Genome], catalogue: Catalogue) -> tuple[list[Motif], NDArray[np.float64]]:
    """Return the motifs that enough genomes hold and their counts [genome, motif]."""
    counts = [motif_counts(genome, catalogue) for genome in genomes]
    motifs = sorted({motif for each in counts for motif in each})
    matrix_GM = np.array([[each[motif] for motif in motifs] for each in counts], dtype=float)
    common = (matrix_GM > 0).sum(0) >= LEAST_GENOMES
    return [motif for motif, kept in zip(motifs, common, strict=True) if kept], matrix_GM[:, common]


def _permuted(
    scaled_GM: NDArray[np.float64], selected: int, seen_M: NDArray[np.float64], permutations: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many relabellings reach each motif's statistic by the same motif, and by the largest of all."""
    random_state, count = np.random.default_rng(seed), len(scaled_GM)
    own, largest = np.zeros(len(seen_M), dtype=np.int64), np.zeros(len(seen_M), dtype=np.int64)
    # Sums in another order differ in their last digits; what is equal must count as reached.
    bound_M = seen_M - 1e-9
    for start in range(0, permutations, _AT_ONCE):
        size = min(_AT_ONCE, permutations - start)
        labels = np.argsort(random_state.random((size, count)), axis=1)[:, :selected]
        found_PM = np.abs(_differences(scaled_GM, labels))
        own += (found_PM >= bound_M).sum(0)
        largest += (found_PM.max(1, initial=0.0)[:, None] >= bound_M).sum(0)
    return own, largest


def _differences(scaled_GM: NDArray[np.float64], labels_PS: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return mean over the labelled genomes less mean over the others, for each labelling and motif."""
    count, selected = len(scaled_GM), labels_PS.shape[1]
    weights_PG = np.full((len(labels_PS), count), -1 / (count - selected))
    np.put_along_axis(weights_PG, labels_PS, 1 / selected, axis=1)
    return weights_PG @ scaled_GM
