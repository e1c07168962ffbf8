"""Algorithms by name, all over the same genome operators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pymoo.algorithms.base.genetic import GeneticAlgorithm
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.soo.nonconvex.ga import GA
from pymoo.core.algorithm import Algorithm
from pymoo.core.infill import InfillCriterion
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.termination import NoTermination
from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

from star_search.config import AlgorithmConfig
from star_search.errors import InputError, did_you_mean
from star_search.evolution.operators import (
    CanonicalDuplicates,
    GeneMutation,
    GenomeRepair,
    GenomeSampling,
    MatingStatistics,
    PointCrossover,
    Tournament,
)
from star_search.genome.space import SearchSpace


class SearchProblem(Problem):
    """The integer genes, the number of objectives and of constraints; values come from candidates' records, not from pymoo."""

    def __init__(self, space: SearchSpace, objectives: int, constraints: int) -> None:
        lower, upper = space.bounds()
        super().__init__(n_var=space.size, n_obj=objectives, n_ieq_constr=constraints, xl=lower, xu=upper, vtype=int)


@dataclass
class Operators:
    """The genome operators of one search; they share statistics and the set of architectures already asked for."""

    space: SearchSpace
    config: AlgorithmConfig
    statistics: MatingStatistics = field(default_factory=MatingStatistics)

    def __post_init__(self) -> None:
        self.duplicates = CanonicalDuplicates(self.space, self.statistics)
        self.sampling = GenomeSampling(self.space, self.duplicates)

    def for_mating(self) -> dict[str, Any]:
        """Return the arguments that every genetic algorithm of pymoo takes."""
        return {
            "pop_size": self.config.population,
            "sampling": self.sampling,
            "selection": Tournament(min(self.config.tournament, self.config.population)),
            "crossover": PointCrossover(self.config.crossover_points, self.config.crossover_probability),
            "mutation": GeneMutation(self.space, self.config.mutation_probability),
            "repair": GenomeRepair(self.space, self.config.repair, self.statistics),
            "eliminate_duplicates": self.duplicates,
            "output": None,
        }


class ElitistGA(GA):
    """A generational GA: the best `elites` of the old population stay, the best offspring fill the rest."""

    def __init__(self, elites: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.elites = elites

    def _advance(self, infills: Population | None = None, **kwargs: Any) -> None:
        room = self.pop_size - min(self.elites, self.pop_size)
        ranked = self._ranked(self.pop)  # type: ignore[has-type]
        offspring = self._ranked(infills)[:room]
        self.pop = self._ranked(Population.merge(ranked[: self.pop_size - len(offspring)], offspring))

    def _ranked(self, pop: Population) -> Population:
        return self.survival.do(self.problem, pop, n_survive=len(pop), algorithm=self, random_state=self.random_state)


class _FreshSamples(InfillCriterion):
    """Offspring that owe nothing to the population."""

    def __init__(self, operators: Operators) -> None:
        repair = GenomeRepair(operators.space, "resample", operators.statistics)
        # Once, because sampling tries often by itself and draws nothing that the run has had.
        super().__init__(repair=repair, eliminate_duplicates=operators.duplicates, n_max_iterations=1)
        self.sampling = operators.sampling

    def _do(self, problem: Problem, pop: Population, n_offsprings: int, random_state: Any = None, **kwargs: Any) -> Population:
        genomes = self.sampling.draw(n_offsprings, random_state)
        return Population.new("X", np.array(genomes)) if genomes else Population.create()


def _nsga2(operators: Operators, objectives: int) -> Algorithm:
    return NSGA2(survival=RankAndCrowding(), **operators.for_mating())


def _ga(operators: Operators, objectives: int) -> Algorithm:
    if objectives != 1:
        raise InputError(f"algorithm ga takes one objective, got {objectives}; nsga2 takes several")
    if operators.config.elites >= operators.config.population:
        raise InputError(
            f"algorithm.elites must be below algorithm.population ({operators.config.population}), got {operators.config.elites}"
        )
    return ElitistGA(elites=operators.config.elites, **operators.for_mating())


def _random(operators: Operators, objectives: int) -> Algorithm:
    return GeneticAlgorithm(
        survival=RankAndCrowding(), mating=_FreshSamples(operators), advance_after_initial_infill=True, **operators.for_mating()
    )


ALGORITHMS: dict[str, Callable[[Operators, int], Algorithm]] = {"nsga2": _nsga2, "ga": _ga, "random": _random}


def build_algorithm(operators: Operators, problem: SearchProblem) -> Algorithm:
    """Return the algorithm that the configuration names, set up and seeded.

    Raises:
        InputError: for an unknown name, or a number of objectives that it does not take.
    """
    name = operators.config.name
    if name not in ALGORITHMS:
        raise InputError(f"unknown algorithm '{name}'{did_you_mean(name, ALGORITHMS)}")
    algorithm = ALGORITHMS[name](operators, problem.n_obj)
    return algorithm.setup(problem, termination=NoTermination(), seed=operators.config.seed)


def mean_hamming_distance(genomes: list[list[int]]) -> float:
    """Return the mean number of genes in which two genomes of a population differ."""
    if len(genomes) < 2:
        return 0.0
    X = np.array(genomes)
    return float((X[:, None] != X[None]).sum() / (len(X) * (len(X) - 1)))
