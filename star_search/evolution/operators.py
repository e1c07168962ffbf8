"""pymoo operators over integer genomes; genes are categories, so nothing is interpolated or rounded.

Every operator draws only from the `random_state` that pymoo hands it. Offspring carry a `lineage`: parents, crossover points, and
the genes (counted from 0) that mutation and repair changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.core.crossover import Crossover
from pymoo.core.duplicate import DuplicateElimination
from pymoo.core.mutation import Mutation
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.repair import Repair
from pymoo.core.sampling import Sampling
from pymoo.operators.selection.tournament import TournamentSelection

from star_search.errors import InputError
from star_search.genome.encoding import Genome
from star_search.genome.repair import Method, choose
from star_search.genome.space import IntegerArray, SearchSpace

Generator = np.random.Generator
TRIES_PER_GENOME = 200


@dataclass
class MatingStatistics:
    """What mating and repair did since the last reset."""

    genomes: int = 0
    illegal_genomes: int = 0
    repaired_genes: int = 0
    duplicates_avoided: int = 0

    def reset(self) -> None:
        """Begin counting anew."""
        self.genomes = self.illegal_genomes = self.repaired_genes = self.duplicates_avoided = 0

    def rates(self, genes_per_genome: int) -> dict[str, float]:
        """Return the share of genomes that were illegal before repair, of genes that repair changed, and duplicates avoided."""
        count = max(1, self.genomes)
        return {
            "invalid_before_repair_rate": self.illegal_genomes / count,
            "repair_rate": self.repaired_genes / (count * genes_per_genome),
            "duplicates_avoided": float(self.duplicates_avoided),
        }


class GenomeSampling(Sampling):
    """Draws genomes of the space until enough distinct architectures are there, or refuses a space that has fewer."""

    def __init__(self, space: SearchSpace, known: CanonicalDuplicates) -> None:
        super().__init__()
        self.space, self.known = space, known

    def _do(self, problem: Problem, n_samples: int, *args: Any, random_state: Generator, **kwargs: Any) -> IntegerArray:
        found = self.draw(n_samples, random_state)
        if len(found) < n_samples:
            raise InputError(
                f"the search space gave only {len(found)} distinct architectures for a population of {n_samples}; "
                "widen space.classes or space.depth, or lower algorithm.population"
            )
        return np.array(found)

    def draw(self, count: int, random_state: Generator) -> list[list[int]]:
        """Return the genes of `count` new architectures, or of all that many tries found."""
        found: dict[str, list[int]] = {}
        for _ in range(TRIES_PER_GENOME * count):
            genome = self.space.sample(random_state).genome
            canonical = self.known.canonical(genome)
            if canonical not in self.known.archive:
                found.setdefault(canonical, genome.integers())
            if len(found) == count:
                break
        return list(found.values())


class PointCrossover(Crossover):
    """k-point crossover of two parents at gene boundaries (STAR section 4.2: k = 2)."""

    def __init__(self, points: int, probability: float) -> None:
        super().__init__(n_parents=2, n_offsprings=2, prob=probability)
        self.points = points

    def do(self, problem: Problem, pop: Any, parents: Any = None, *args: Any, random_state: Generator, **kwargs: Any) -> Population:
        """Return two offspring per pair of parents, complementary in which parent gives each segment."""
        pairs = pop if parents is None else [pop[pair] for pair in parents]
        genomes, lineages = [], []
        for first, second in pairs:
            cuts = self._cuts(problem.n_var, random_state)
            from_first = np.searchsorted(cuts, np.arange(problem.n_var), side="right") % 2 == 0
            genomes += [np.where(from_first, first.X, second.X), np.where(from_first, second.X, first.X)]
            ids = [int(first.get("candidate")), int(second.get("candidate"))]
            lineages += [{"parents": ids, "points": cuts.tolist()}, {"parents": ids[::-1], "points": cuts.tolist()}]
        return Population.new("X", np.array(genomes), "lineage", lineages)

    def _cuts(self, genes: int, random_state: Generator) -> NDArray[np.int64]:
        """Draw the first gene of every segment but the first; none where crossover does not happen."""
        if random_state.random() >= self.prob.value:
            return np.array([], dtype=np.int64)
        count = min(self.points, genes - 1)
        return np.sort(random_state.choice(np.arange(1, genes), size=count, replace=False))


class GeneMutation(Mutation):
    """Each gene, with a probability of its own, takes another of the values that are legal for its LIV's class."""

    def __init__(self, space: SearchSpace, probability: float) -> None:
        super().__init__()
        self.space, self.probability = space, probability

    def do(self, problem: Problem, pop: Population, inplace: bool = True, *args: Any, random_state: Generator, **kwargs: Any) -> Population:
        """Mutate offspring in place."""
        for individual in pop:
            hit = random_state.random(problem.n_var) < self.probability
            before = individual.X.copy()
            individual.X = self._mutated(before, hit, random_state)
            individual.set("lineage", {**individual.get("lineage"), "mutated": np.flatnonzero(before != individual.X).tolist()})
        return pop

    def _mutated(self, genes: IntegerArray, hit: NDArray[np.bool_], random_state: Generator) -> IntegerArray:
        genes = genes.copy()
        for index in np.flatnonzero(hit):
            values = [value for value in self.space.legal_values(genes, int(index)) if value != genes[index]]
            if values:
                genes[index] = choose(values, random_state)
        return genes


class GenomeRepair(Repair):
    """Makes every offspring legal and counts what that took; off, it only counts (the ablation the paper's reviewers asked for)."""

    def __init__(self, space: SearchSpace, method: Method, statistics: MatingStatistics) -> None:
        super().__init__()
        self.space, self.method, self.statistics = space, method, statistics

    def do(self, problem: Problem, pop: Population, *, random_state: Generator, **kwargs: Any) -> Population:
        """Repair offspring in place."""
        for individual in pop:
            repaired = self.space.repair(self.space.read(individual.X), random_state, self.method)
            genes = np.array(repaired.genome.integers())
            changed = np.flatnonzero(genes != individual.X).tolist()
            self.statistics.genomes += 1
            self.statistics.illegal_genomes += bool(repaired.problems)
            self.statistics.repaired_genes += repaired.changed
            individual.X = genes
            individual.set("lineage", {**(individual.get("lineage") or {}), "repaired": changed})
        return pop


class CanonicalDuplicates(DuplicateElimination):
    """Drops offspring whose architecture was asked for before, in this call or anywhere in the run."""

    def __init__(self, space: SearchSpace, statistics: MatingStatistics) -> None:
        super().__init__()
        self.space, self.statistics = space, statistics
        self.archive: set[str] = set()

    def canonical(self, genome: Genome) -> str:
        """Return the canonical text of a legal genome."""
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


def feasible_first_tournament(pop: Population, contests: IntegerArray, random_state: Generator, **kwargs: Any) -> IntegerArray:
    """Return the winner of each contest: least constraint violation, then rank, then crowding, then by lot."""

    def key(index: int) -> tuple[float, float, float]:
        individual = pop[index]
        violation, rank, crowding = float(individual.CV[0]), individual.get("rank"), individual.get("crowding")
        if violation > 0 or rank is None:
            return violation, 0.0, 0.0
        return violation, float(rank), -float(crowding if crowding is not None else 0.0)

    return np.array([[_best(contest, key, random_state)] for contest in contests])


def _best(contest: Iterable[int], key: Any, random_state: Generator) -> int:
    entrants = list(dict.fromkeys(int(index) for index in contest))
    keys = [key(index) for index in entrants]
    winners = [index for index, value in zip(entrants, keys, strict=True) if value == min(keys)]
    return choose(winners, random_state)


class Tournament(TournamentSelection):
    """Tournament of k entrants drawn without replacement within a permutation of the population."""

    def __init__(self, entrants: int) -> None:
        super().__init__(func_comp=feasible_first_tournament, pressure=entrants)
