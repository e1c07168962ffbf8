"""Firefly search over genomes: moves are copies of genes, distances count differing genes (Yang, 2008, made categorical)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.base.genetic import GeneticAlgorithm
from pymoo.core.individual import Individual
from pymoo.core.infill import InfillCriterion
from pymoo.core.mutation import Mutation
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

from star_search.evolution.selection import brightness
from star_search.genome.distance import hamming
from star_search.genome.encoding import Genome

Generator = np.random.Generator


class FireflyMoves(InfillCriterion):
    """Every firefly in turn moves towards each brighter one, the brightest last, then mutates; the brightest mutates alone.

    A gene that differs is copied with probability beta0 exp(-gamma r^2), r the Hamming distance of the two canonical genomes.
    """

    def __init__(self, attractiveness: float, absorption: float, mutation: Mutation, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.attractiveness, self.absorption, self.mutation = attractiveness, absorption, mutation
        self.turn = 0

    def _do(self, problem: Problem, pop: Population, n_offsprings: int, random_state: Generator, **kwargs: Any) -> Population:
        movers = [(self.turn + index) % len(pop) for index in range(n_offsprings)]
        self.turn += n_offsprings
        moved = [self._move(pop, index, random_state) for index in movers]
        offspring = Population.new("X", np.array([genes for genes, _ in moved]), "lineage", [lineage for _, lineage in moved])
        offspring.set("firefly", movers)
        return self.mutation.do(problem, offspring, random_state=random_state)

    def _move(self, pop: Population, index: int, random_state: Generator) -> tuple[NDArray[np.int64], dict[str, Any]]:
        own = pop[index]
        genes, parents = own.X.copy(), [int(own.get("candidate"))]
        brighter = [other for other in pop if brightness(other) < brightness(own)]
        for other in sorted(brighter, key=brightness, reverse=True):
            copied = (random_state.random(len(genes)) < self.attraction(own, other)) & (genes != other.X)
            if copied.any():
                parents.append(int(other.get("candidate")))
                genes[copied] = other.X[copied]
        return genes, {"parents": parents, "moved": np.flatnonzero(genes != own.X).tolist()}

    def attraction(self, one: Individual, other: Individual) -> float:
        """Return the probability with which a differing gene is copied."""
        distance = hamming(*(Genome.parse(each.get("canonical")) for each in (one, other)))
        return float(self.attractiveness * np.exp(-self.absorption * distance**2))


class Firefly(GeneticAlgorithm):
    """A swarm in which a firefly gives way to its own move alone, where that is brighter; brightness is rank, then crowding."""

    def __init__(self, moves: FireflyMoves, **kwargs: Any) -> None:
        super().__init__(survival=RankAndCrowding(), mating=moves, advance_after_initial_infill=True, **kwargs)

    def _initialize_advance(self, infills: Population | None = None, **kwargs: Any) -> None:
        self._rank(infills)

    def _advance(self, infills: Population | None = None, **kwargs: Any) -> None:
        self._rank(Population.merge(self.pop, infills))
        for move in infills if infills is not None else []:
            place = move.get("firefly")
            if brightness(move) < brightness(self.pop[place]):
                self.pop[place] = move

    def _rank(self, pop: Population | None) -> None:
        self.survival.do(self.problem, pop, random_state=self.random_state)
