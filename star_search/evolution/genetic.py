"""Algorithms of pymoo made to fit genomes: a weighted, elitist GA; RVEA on a fixed schedule; SPEA2 that bears equal objectives."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.base.genetic import GeneticAlgorithm
from pymoo.algorithms.moo.rvea import RVEA, APDSurvival, calc_gamma, calc_V
from pymoo.algorithms.moo.spea2 import SPEA2Survival
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.survival import Survival

FloatArray = NDArray[np.float64]


class WeightedSurvival(Survival):
    """Orders by constraint violation, then by the weighted sum of the objectives; `rank` is the place in that order."""

    def __init__(self, weights: list[float]) -> None:
        super().__init__(filter_infeasible=False)
        self.weights = np.array(weights)

    def _do(self, problem: Problem, pop: Population, *args: Any, n_survive: int | None = None, **kwargs: Any) -> Population:
        violations = np.maximum(pop.get("CV")[:, 0], 0)
        order = np.lexsort([pop.get("F") @ self.weights, violations])
        ranked = pop[order]
        ranked.set("rank", np.arange(len(ranked)), "crowding", np.zeros(len(ranked)))
        return ranked[:n_survive]


class ElitistGA(GeneticAlgorithm):
    """A generational GA: the best `elites` of the old population stay, the best offspring fill the rest."""

    def __init__(self, elites: int, weights: list[float], **kwargs: Any) -> None:
        super().__init__(survival=WeightedSurvival(weights), advance_after_initial_infill=True, **kwargs)
        self.elites = elites

    def _advance(self, infills: Population | None = None, **kwargs: Any) -> None:
        room = self.pop_size - self.elites
        ranked = self._ranked(self.pop)  # type: ignore[has-type]
        offspring = self._ranked(infills)[:room]
        self.pop = self._ranked(Population.merge(ranked[: self.pop_size - len(offspring)], offspring))

    def _ranked(self, pop: Population) -> Population:
        return self.survival.do(self.problem, pop, random_state=self.random_state)


class ScheduledRVEA(RVEA):
    """RVEA whose penalty grows over a fixed number of generations, so that a run that is extended goes on as it was."""

    def __init__(self, ref_dirs: FloatArray, alpha: float, horizon: int, **kwargs: Any) -> None:
        super().__init__(ref_dirs, survival=SafeAPDSurvival(ref_dirs, alpha), **kwargs)
        self.horizon = horizon

    def _setup(self, problem: Problem, **kwargs: Any) -> None:
        """Take any termination; the schedule does not depend on it."""

    def _advance(self, infills: Population | None = None, **kwargs: Any) -> None:
        generation = self.n_gen - 1
        GeneticAlgorithm._advance(self, infills=infills, n_gen=min(generation, self.horizon), n_max_gen=self.horizon)
        if generation % np.ceil(self.horizon * self.adapt_freq) == 0:
            self.survival.adapt()


class SafeAPDSurvival(APDSurvival):
    """RVEA's survival without its NaNs: cosines stay under 1, and an objective in which all survivors are equal keeps its scale."""

    def __init__(self, ref_dirs: FloatArray, alpha: float) -> None:
        super().__init__(ref_dirs, alpha=alpha)
        self._shorten()

    def adapt(self) -> None:
        """Scale the reference vectors to the ranges of the survivors."""
        if self.nadir is None:
            return
        spans = self.nadir - self.ideal
        self.V = calc_V(calc_V(self.ref_dirs) * np.where(spans > 0, spans, 1.0))
        self.gamma = calc_gamma(self.V)
        self._shorten()

    def _shorten(self) -> None:
        # Rounding takes the product of two unit vectors above 1, whose arc cosine is NaN.
        self.V = self.V * (1 - 1e-12)


class SafeSPEA2Survival(SPEA2Survival):
    """SPEA2's survival that normalises only where every objective varies; pymoo's divides by zero elsewhere."""

    def _do(self, problem: Problem, pop: Population, *args: Any, n_survive: int | None = None, **kwargs: Any) -> Population:
        asked: bool = self.normalize  # type: ignore[has-type]
        self.normalize = asked and bool((np.ptp(pop.get("F"), axis=0) > 0).all())
        try:
            return super()._do(problem, pop, *args, n_survive=n_survive, **kwargs)
        finally:
            self.normalize = asked
