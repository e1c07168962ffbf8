"""pymoo operators over integer genomes; genes are categories, so nothing is interpolated or rounded.

Every operator draws only from the `random_state` that pymoo hands it. Offspring carry a `lineage`: parents, crossover points, and
the genes (counted from 0) that mutation and repair changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pymoo.core.crossover import Crossover
from pymoo.core.duplicate import DuplicateElimination
from pymoo.core.mutation import Mutation
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.repair import Repair
from pymoo.core.sampling import Sampling

from star_search.errors import InputError
from star_search.genome.encoding import Genome
from star_search.genome.repair import Method, choose
from star_search.genome.space import IntegerArray, SearchSpace

Generator = np.random.Generator
TRIES_PER_GENOME = 200
FRUITLESS_TRIES = 10_000


@dataclass
class MatingStatistics:
    """What mating and repair did."""

    genomes: int = 0
    illegal_genomes: int = 0
    repaired_genes: int = 0
    duplicates_avoided: int = 0

    def take(self) -> MatingStatistics:
        """Return what was counted and begin anew."""
        taken = MatingStatistics(self.genomes, self.illegal_genomes, self.repaired_genes, self.duplicates_avoided)
        self.genomes = self.illegal_genomes = self.repaired_genes = self.duplicates_avoided = 0
        return taken

    def __add__(self, other: MatingStatistics) -> MatingStatistics:
        return MatingStatistics(
            self.genomes + other.genomes,
            self.illegal_genomes + other.illegal_genomes,
            self.repaired_genes + other.repaired_genes,
            self.duplicates_avoided + other.duplicates_avoided,
        )

    def rates(self, genes_per_genome: int) -> dict[str, float]:
        """Return the share of genomes that were illegal before repair, of genes that repair changed, and duplicates avoided."""
        count = max(1, self.genomes)
        return {
            "invalid_before_repair_rate": self.illegal_genomes / count,
            "repair_rate": self.repaired_genes / (count * genes_per_genome),
            "duplicates_avoided": float(self.duplicates_avoided),
        }


class GenomeSampling(Sampling):
    """Gives the initial genomes, then draws genomes of the space until enough distinct architectures are there, or refuses."""

    def __init__(self, space: SearchSpace, known: CanonicalDuplicates, initial: Sequence[Genome] = ()) -> None:
        super().__init__()
        self.space, self.known, self.initial = space, known, initial

    def _do(self, problem: Problem, n_samples: int, *args: Any, random_state: Generator, **kwargs: Any) -> IntegerArray:
        given = {self.known.canonical(genome): genome.integers() for genome in self.initial}
        found = self.draw(n_samples, random_state, given)
        if len(found) < n_samples:
            raise InputError(
                f"the search space gave only {len(found)} distinct architectures for a population of {n_samples}; "
                "widen space.classes or space.depth, or lower algorithm.population"
            )
        return np.array(found)

    def draw(self, count: int, random_state: Generator, given: Mapping[str, list[int]] | None = None) -> list[list[int]]:
        """Return the genes of `count` new architectures, those given among them, or of all that many tries found."""
        found, fruitless = dict(given or {}), 0
        for _ in range(TRIES_PER_GENOME * count):
            if len(found) >= count or fruitless == FRUITLESS_TRIES:
                break
            genome = self.space.sample(random_state).genome
            canonical = self.known.canonical(genome)
            fruitless += 1
            if canonical not in self.known.archive and canonical not in found:
                found[canonical], fruitless = genome.integers(), 0
        return list(found.values())


class PointCrossover(Crossover):
    """k-point crossover of two parents, between any two genes or between LIVs alone (STAR section 4.2: k = 2).

    Classes that genomes bring are crossed by themselves, with k points of their own; a coin decides whose come first.
    """

    def __init__(self, space: SearchSpace, points: int, probability: float, boundary: Literal["gene", "liv"]) -> None:
        super().__init__(n_parents=2, n_offsprings=2, prob=probability)
        self.points = points
        places = space.unit_starts if boundary == "liv" else range(space.size)
        self.classes_start = space.layout.unit_slice(space.depth).start
        self.backbone_places = np.array([place for place in places if 0 < place < self.classes_start], dtype=np.int64)
        self.class_places = np.array([place for place in places if place > self.classes_start], dtype=np.int64)
        self.has_classes = space.layout.evolved > 0

    def do(self, problem: Problem, pop: Any, parents: Any = None, *args: Any, random_state: Generator, **kwargs: Any) -> Population:
        """Return two offspring per pair of parents, complementary in which parent gives each segment."""
        pairs = pop if parents is None else [pop[pair] for pair in parents]
        genomes, lineages = [], []
        for first, second in pairs:
            cuts = self._cuts(random_state)
            from_first = np.searchsorted(cuts, np.arange(problem.n_var), side="right") % 2 == 0
            genomes += [np.where(from_first, first.X, second.X), np.where(from_first, second.X, first.X)]
            ids = [int(first.get("candidate")), int(second.get("candidate"))]
            lineages += [{"parents": ids, "points": cuts.tolist()}, {"parents": ids[::-1], "points": cuts.tolist()}]
        return Population.new("X", np.array(genomes), "lineage", lineages)

    def _cuts(self, random_state: Generator) -> NDArray[np.int64]:
        """Draw the first gene of every segment but the first; none where crossover does not happen."""
        if random_state.random() >= self.prob.value:
            return np.array([], dtype=np.int64)
        cuts = self._choice(self.backbone_places, random_state)
        if self.has_classes:
            second_first = random_state.random() < 0.5
            turn = [self.classes_start] if second_first != bool(len(cuts) % 2) else []
            cuts = np.concatenate([cuts, np.array(turn, dtype=np.int64), self._choice(self.class_places, random_state)])
        return cuts

    def _choice(self, places: NDArray[np.int64], random_state: Generator) -> NDArray[np.int64]:
        return np.sort(random_state.choice(places, size=min(self.points, len(places)), replace=False))


@dataclass(frozen=True)
class MutationRates:
    """How often genes mutate: a probability for each gene, or for each genome that one of its genes does.

    Segments that `by_segment` names have a probability of their own; all others share `probability`.
    """

    unit: Literal["per_gene", "per_genome"]
    probability: float
    by_segment: Mapping[Any, float]

    def groups(self, space: SearchSpace) -> list[tuple[float, NDArray[np.int64]]]:
        """Return (probability, genes) of every part of the genome that is mutated by itself."""
        genes: dict[str, list[int]] = defaultdict(list)
        for index in range(space.size):
            segment = space.segment_of(index)
            genes[segment if segment in self.by_segment else ""].append(index)
        return [(self.by_segment.get(segment, self.probability), np.array(found)) for segment, found in genes.items()]


class GeneMutation(Mutation):
    """Genes take another of the values that are legal for their LIV's class; unconstrained, another of all values of the gene."""

    def __init__(self, space: SearchSpace, rates: MutationRates, constrained: bool = True) -> None:
        super().__init__()
        self.space, self.constrained = space, constrained
        self.unit, self.groups = rates.unit, rates.groups(space)
        self.starts = set(space.unit_starts)

    def do(self, problem: Problem, pop: Population, inplace: bool = True, *args: Any, random_state: Generator, **kwargs: Any) -> Population:
        """Mutate offspring in place."""
        for individual in pop:
            before = individual.X.copy()
            individual.X = self._mutated(before, self._hit(random_state), random_state)
            individual.set("lineage", {**individual.get("lineage"), "mutated": np.flatnonzero(before != individual.X).tolist()})
        return pop

    def _hit(self, random_state: Generator) -> list[int]:
        """Draw which genes mutate, in order."""
        hit: list[int] = []
        for probability, genes in self.groups:
            if self.unit == "per_gene":
                hit += genes[random_state.random(len(genes)) < probability].tolist()
            elif random_state.random() < probability:
                hit.append(int(random_state.choice(genes)))
        return sorted(hit)

    def _mutated(self, genes: IntegerArray, hit: list[int], random_state: Generator) -> IntegerArray:
        genes = genes.copy()
        for index in hit:
            values = [value for value in self._values(genes, index) if value != genes[index]]
            if values:
                genes[index] = choose(values, random_state)
        return genes

    def _values(self, genes: IntegerArray, index: int) -> Sequence[int]:
        if self.constrained or index in self.starts:
            return self.space.legal_values(genes, index)
        lower, upper = self.space.bounds()
        return range(int(lower[index]), int(upper[index]) + 1)


class GenomeRepair(Repair):
    """Makes every offspring legal and counts what that took; off, it only counts (the ablation the paper's reviewers asked for)."""

    def __init__(self, space: SearchSpace, method: Method | Literal["off"], statistics: MatingStatistics) -> None:
        super().__init__()
        self.space, self.method, self.statistics = space, method, statistics

    def do(self, problem: Problem, pop: Population, *, random_state: Generator, **kwargs: Any) -> Population:
        """Repair offspring in place."""
        for individual in pop:
            genome, before = self.space.read(individual.X), individual.X
            self.statistics.genomes += 1
            if self.method == "off":
                self.statistics.illegal_genomes += bool(self.space.rules.problems(genome))
            else:
                repaired = self.space.repair(genome, random_state, self.method)
                self.statistics.illegal_genomes += bool(repaired.problems)
                self.statistics.repaired_genes += repaired.changed
                individual.X = np.array(repaired.genome.integers())
            changed = np.flatnonzero(before != individual.X).tolist()
            individual.set("lineage", {**(individual.get("lineage") or {}), "repaired": changed})
        return pop


class CanonicalDuplicates(DuplicateElimination):
    """Drops offspring whose architecture was asked for before, in this call or anywhere in the run."""

    def __init__(self, space: SearchSpace, statistics: MatingStatistics, all_legal: bool = True) -> None:
        super().__init__()
        self.space, self.statistics, self.all_legal = space, statistics, all_legal
        self.archive: set[str] = set()

    def canonical(self, genome: Genome) -> str:
        """Return the canonical text of a genome; an illegal one, which no repair mended, stands for itself."""
        if not self.all_legal and self.space.rules.problems(genome):
            return genome.format()
        return genome.canonical(self.space.rules.catalogue).format()

    def do(self, pop: Population, *others: Population, return_indices: bool = False, to_itself: bool = True) -> Any:
        """Return the offspring that are new, each marked with its canonical text."""
        seen = self.archive | {other.get("canonical") for group in others for other in group}
        kept: list[int] = []
        dropped: list[int] = []
        for index, individual in enumerate(pop):
            canonical = self.canonical(self.space.read(individual.X))
            individual.set("canonical", canonical)
            (dropped if canonical in seen else kept).append(index)
            if to_itself:
                seen.add(canonical)
        self.statistics.duplicates_avoided += len(dropped)
        fresh = pop[kept] if len(pop) else pop
        return (fresh, kept, dropped) if return_indices else fresh
