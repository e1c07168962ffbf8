"""Algorithms by name, all over the same genome operators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pymoo.algorithms.base.genetic import GeneticAlgorithm
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.moo.nsga3 import NSGA3
from pymoo.algorithms.moo.sms import SMSEMOA, LeastHypervolumeContributionSurvival
from pymoo.algorithms.moo.spea2 import SPEA2
from pymoo.algorithms.moo.unsga3 import UNSGA3
from pymoo.core.algorithm import Algorithm
from pymoo.core.infill import InfillCriterion
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.termination import NoTermination
from pymoo.operators.survival.rank_and_crowding import RankAndCrowding
from pymoo.util.ref_dirs import get_reference_directions

from star_search.config import AlgorithmConfig
from star_search.evolution.firefly import Firefly, FireflyMoves
from star_search.evolution.genetic import ElitistGA, FloatArray, SafeSPEA2Survival, ScheduledRVEA
from star_search.evolution.geometry import GeometrySurvival
from star_search.evolution.initial import initial_genomes
from star_search.evolution.kinds import complete, kind_of
from star_search.evolution.operators import (
    CanonicalDuplicates,
    GeneMutation,
    GenomeRepair,
    GenomeSampling,
    MatingStatistics,
    MutationRates,
    PointCrossover,
)
from star_search.evolution.selection import (
    Beats,
    Tournament,
    by_dominance,
    by_fitness,
    by_niche,
    by_rank_and_crowding,
    by_violation,
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
        repaired = self.config.repair != "off"
        self.duplicates = CanonicalDuplicates(self.space, self.statistics, all_legal=repaired)
        self.sampling = GenomeSampling(self.space, self.duplicates, initial_genomes(self.config, self.space))
        self.repair = GenomeRepair(self.space, self.config.repair, self.statistics)
        rates = MutationRates(self.config.mutation, self.config.mutation_probability, self.config.segment_mutation)
        self.mutation = GeneMutation(self.space, rates, self.config.constrained_mutation and repaired)

    def for_population(self) -> dict[str, Any]:
        """Return what every algorithm of pymoo that has a population takes."""
        return {
            "pop_size": self.config.population,
            "n_offsprings": 1 if self.config.asynchronous else self.config.brood,
            "sampling": self.sampling,
            "repair": self.repair,
            "eliminate_duplicates": self.duplicates,
            "output": None,
        }

    def for_mating(self, beats: Beats) -> dict[str, Any]:
        """Return the arguments that every genetic algorithm of pymoo takes; `beats` is its rule of selection."""
        config = self.config
        return self.for_population() | {
            "selection": Tournament(min(config.tournament, config.population), beats),
            "crossover": PointCrossover(self.space, config.crossover_points, config.crossover_probability, config.crossover_boundary),
            "mutation": self.mutation,
        }


class _FreshSamples(InfillCriterion):
    """Offspring that owe nothing to the population."""

    def __init__(self, operators: Operators) -> None:
        # Once, because sampling tries often by itself and draws nothing that the run has had.
        super().__init__(repair=operators.repair, eliminate_duplicates=operators.duplicates, n_max_iterations=1)
        self.sampling = operators.sampling

    def _do(self, problem: Problem, pop: Population, n_offsprings: int, random_state: Any = None, **kwargs: Any) -> Population:
        genomes = self.sampling.draw(n_offsprings, random_state)
        return Population.new("X", np.array(genomes)) if genomes else Population.create()


def _nsga2(operators: Operators, objectives: int) -> Algorithm:
    assert operators.config.crowding is not None
    return NSGA2(survival=RankAndCrowding(crowding_func=operators.config.crowding), **operators.for_mating(by_rank_and_crowding))


def _ga(operators: Operators, objectives: int) -> Algorithm:
    elites, weights = operators.config.elites, operators.config.weights
    assert elites is not None and weights is not None
    return ElitistGA(elites, weights, **operators.for_mating(by_rank_and_crowding))


def _firefly(operators: Operators, objectives: int) -> Algorithm:
    attractiveness, absorption = operators.config.attractiveness, operators.config.absorption
    assert attractiveness is not None and absorption is not None
    arguments = operators.for_population()
    shared = {"repair": arguments["repair"], "eliminate_duplicates": arguments["eliminate_duplicates"]}
    return Firefly(FireflyMoves(attractiveness, absorption, operators.mutation, **shared), **arguments)


def _random(operators: Operators, objectives: int) -> Algorithm:
    mating = _FreshSamples(operators)
    return GeneticAlgorithm(survival=RankAndCrowding(), mating=mating, advance_after_initial_infill=True, **operators.for_population())


def _directions(operators: Operators, objectives: int) -> FloatArray:
    return get_reference_directions("das-dennis", objectives, n_partitions=operators.config.partitions)


def _nsga3(operators: Operators, objectives: int) -> Algorithm:
    return NSGA3(_directions(operators, objectives), **operators.for_mating(by_violation))


def _unsga3(operators: Operators, objectives: int) -> Algorithm:
    return UNSGA3(_directions(operators, objectives), **operators.for_mating(by_niche))


def _sms(operators: Operators, objectives: int) -> Algorithm:
    survival = LeastHypervolumeContributionSurvival(eps=operators.config.reference_margin)
    return SMSEMOA(survival=survival, normalize=operators.config.normalise, **operators.for_mating(by_dominance))


def _age2(operators: Operators, objectives: int) -> Algorithm:
    survival = GeometrySurvival()
    return GeneticAlgorithm(survival=survival, advance_after_initial_infill=True, **operators.for_mating(by_rank_and_crowding))


def _rvea(operators: Operators, objectives: int) -> Algorithm:
    config = operators.config
    assert config.penalty_exponent is not None and config.horizon is not None
    arguments = operators.for_mating(by_violation) | {"adapt_freq": config.adaptation_frequency}
    return ScheduledRVEA(_directions(operators, objectives), config.penalty_exponent, config.horizon, **arguments)


def _spea2(operators: Operators, objectives: int) -> Algorithm:
    return SPEA2(survival=SafeSPEA2Survival(normalize=operators.config.normalise), **operators.for_mating(by_fitness))


ALGORITHMS: dict[str, Callable[[Operators, int], Algorithm]] = {
    "nsga2": _nsga2,
    "ga": _ga,
    "firefly": _firefly,
    "random": _random,
    "nsga3": _nsga3,
    "unsga3": _unsga3,
    "sms": _sms,
    "age2": _age2,
    "rvea": _rvea,
    "spea2": _spea2,
}


def build_algorithm(operators: Operators, problem: SearchProblem) -> Algorithm:
    """Return the algorithm that the configuration names, set up and seeded.

    Raises:
        InputError: for an unknown name, a number of objectives that it does not take, or a key that is not its own.
    """
    kind_of(operators.config.name)
    operators.config = complete(operators.config, operators.space, problem.n_obj)
    algorithm = ALGORITHMS[operators.config.name](operators, problem.n_obj)
    return algorithm.setup(problem, termination=NoTermination(), seed=operators.config.seed)


def mean_hamming_distance(genomes: list[list[int]]) -> float:
    """Return the mean number of genes in which two genomes of a population differ."""
    if len(genomes) < 2:
        return 0.0
    X = np.array(genomes)
    return float((X[:, None] != X[None]).sum() / (len(X) * (len(X) - 1)))
