"""Selection of parents: a tournament of any size, with the rule of each algorithm for who beats whom."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from pymoo.core.individual import Individual
from pymoo.core.population import Population
from pymoo.operators.selection.tournament import TournamentSelection

from star_search.genome.repair import choose
from star_search.genome.space import IntegerArray

Beats = Callable[[Individual, Individual], bool]


def violation(individual: Individual) -> float:
    """Return how far an individual breaks its constraints, 0 where it keeps them."""
    return max(0.0, float(individual.CV[0]))


def by_violation(one: Individual, other: Individual) -> bool:
    """NSGA-III and RVEA: the one that breaks its constraints less; two that keep them are equal."""
    return violation(one) < violation(other)


def by_rank_and_crowding(one: Individual, other: Individual) -> bool:
    """NSGA-II, AGE-MOEA-II and the GA: less violation, then the lower rank, then the lonelier."""
    return _key(one, _rank_and_crowding) < _key(other, _rank_and_crowding)


def by_fitness(one: Individual, other: Individual) -> bool:
    """SPEA2: less violation, then the lower strength fitness."""
    return _key(one, _strength_fitness) < _key(other, _strength_fitness)


def by_dominance(one: Individual, other: Individual) -> bool:
    """SMS-EMOA: less violation, then the one that dominates."""
    if violation(one) > 0 or violation(other) > 0:
        return by_violation(one, other)
    return bool((one.F <= other.F).all() and (one.F < other.F).any())


def by_niche(one: Individual, other: Individual) -> bool:
    """U-NSGA-III: less violation; within a niche the lower rank, then the nearer to its direction; niches are equal."""
    if violation(one) > 0 or violation(other) > 0:
        return by_violation(one, other)
    if one.get("niche") != other.get("niche"):
        return False
    return bool((one.get("rank"), one.get("dist_to_niche")) < (other.get("rank"), other.get("dist_to_niche")))


def brightness(individual: Individual) -> tuple[float, ...]:
    """Return the key by which individuals are ranked, best lowest: violation, rank, crowding."""
    return _key(individual, _rank_and_crowding)


def _key(individual: Individual, of_feasible: Callable[[Individual], tuple[float, ...]]) -> tuple[float, ...]:
    broken = violation(individual)
    return (broken,) if broken > 0 else (0.0, *of_feasible(individual))


def _rank_and_crowding(individual: Individual) -> tuple[float, ...]:
    rank, crowding = individual.get("rank"), individual.get("crowding")
    return float(rank or 0), -float(crowding if crowding is not None else 0.0)


def _strength_fitness(individual: Individual) -> tuple[float, ...]:
    return (float(individual.get("SPEA_F")),)


class Tournament(TournamentSelection):
    """Tournament of k entrants drawn without replacement within a permutation of the population.

    An entrant that no other beats wins; among several it is by lot. With two entrants this is each algorithm's own binary tournament.
    """

    def __init__(self, entrants: int, beats: Beats) -> None:
        super().__init__(func_comp=self._contests, pressure=entrants)
        self.beats = beats

    def _contests(self, pop: Population, contests: IntegerArray, random_state: np.random.Generator, **kwargs: Any) -> IntegerArray:
        return np.array([[self.winner(pop, contest, random_state)] for contest in contests])

    def winner(self, pop: Population, contest: Iterable[int], random_state: np.random.Generator) -> int:
        """Return the index of the winner of one contest."""
        entrants = list(dict.fromkeys(int(index) for index in contest))
        unbeaten = [index for index in entrants if not any(self.beats(pop[other], pop[index]) for other in entrants if other != index)]
        return choose(unbeaten, random_state)
