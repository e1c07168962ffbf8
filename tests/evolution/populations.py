"""Populations made by hand, of genomes of six LIVs."""

from __future__ import annotations

import numpy as np
from pymoo.core.individual import Individual
from pymoo.core.population import Population

from star_search.config import SpaceConfig
from star_search.evolution.algorithms import SearchProblem
from star_search.genome.space import SearchSpace

SPACE = SearchSpace.from_config(SpaceConfig(depth=6, width=64))
PROBLEM = SearchProblem(SPACE, 2, 1)
GENES = SPACE.size


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def population(genomes: list[list[int]], first: int = 0) -> Population:
    pop = Population.new("X", np.array(genomes))
    for number, individual in enumerate(pop, first):
        individual.set("candidate", number)
        individual.set("lineage", {})
    return pop


def sampled(count: int, seed: int = 0, space: SearchSpace = SPACE) -> Population:
    rng = generator(seed)
    return population([space.sample(rng).genome.integers() for _ in range(count)])


def evaluated(individual: Individual, violation: float, rank: int, crowding: float) -> None:
    values = {"F": np.zeros(2), "G": np.array([violation]), "H": np.array([]), "rank": rank, "crowding": crowding}
    for name, value in values.items():
        individual.set(name, value)
