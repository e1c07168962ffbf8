"""The search loop: ask pymoo for genomes, have them assessed, tell it what came of them.

A resumed run is the same loop from the beginning: recorded candidates are looked up instead of trained, so that it arrives where the
killed run was, bit for bit, whatever the algorithm keeps in its memory.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Literal

import numpy as np
from pymoo.core.evaluator import Evaluator
from pymoo.core.population import Population
from pymoo.problems.static import StaticProblem

from star_search.config import SearchConfig
from star_search.errors import StarSearchError
from star_search.evolution.algorithms import Operators, SearchProblem, build_algorithm
from star_search.evolution.ledger import Budget, Ledger, Reporter
from star_search.evolution.workers import Workers
from star_search.genome.space import SearchSpace
from star_search.objectives.assignment import Assignment
from star_search.objectives.registry import Criteria
from star_search.runs.directory import RunDirectory

EXHAUSTED = "mating found no architecture that the search has not had"


class Search:
    """One search in one run directory: generation by generation, or in a steady state."""

    def __init__(
        self, run: RunDirectory, config: SearchConfig, start_workers: Callable[[], Workers], reporter: Reporter, budget: Budget
    ) -> None:
        self.config, self.reporter, self.budget = config, reporter, budget
        criteria = Criteria.from_config(config)
        self.operators = Operators(SearchSpace.from_config(config.space), config.algorithm)
        self.problem = SearchProblem(self.operators.space, len(criteria.objectives), 1 + len(criteria.constraints))
        self.algorithm = build_algorithm(self.operators, self.problem)
        self.ledger = Ledger(run, config, self.operators, criteria, reporter)
        self._start_workers = start_workers
        self._workers: Workers | None = None
        self._waiting: deque[Assignment] = deque()
        self._asked: deque[Population] = deque()
        self._told = 0
        self._generation_start = self.start = time.monotonic()
        self.stopped_by = ""
        self.trained: list[int] = []

    def run(self) -> bool:
        """Search until the last generation; return False when a budget ended it before."""
        last = self.config.algorithm.generations
        try:
            if not self._generation(0):
                return False
            if self.config.algorithm.asynchronous and last:
                return self._steady_state()
            return all(self._generation(generation) for generation in range(1, last + 1))
        finally:
            if self._workers is not None:
                self._workers.close()

    def _generation(self, generation: int) -> bool:
        """Ask for a generation, have all of it assessed, and tell."""
        asked = self._ask(generation)
        if asked is None:
            self.stopped_by = EXHAUSTED
            return False
        self._assess(self._next_waiting, lambda: None)
        if not self._known(asked):
            if not self.stopped_by:
                raise StarSearchError(f"the workers ended before generation {generation} was assessed")
            return False
        self._tell(asked)
        self._close(generation)
        return True

    def _steady_state(self) -> bool:
        """Keep `max_pending` candidates asked and not told; tell in the order asked, and ask for one after each.

        So what a candidate's parents can be follows from its number, not from which worker was faster.
        """
        self._refill()
        self._drain()
        self._assess(self._next_waiting, self._drain)
        return self._told == self.config.algorithm.candidates

    def _refill(self) -> None:
        algorithm = self.config.algorithm
        window = min(self._told + (algorithm.max_pending or algorithm.population), algorithm.candidates)
        while self.ledger.asked < window and self.stopped_by != EXHAUSTED:
            asked = self._ask(1 + (self.ledger.asked - algorithm.population) // algorithm.population)
            if asked is None:
                self.stopped_by = EXHAUSTED
            else:
                self._asked.append(asked)

    def _drain(self) -> None:
        """Tell what is known, in order."""
        size = self.config.algorithm.population
        while self._asked and self._known(self._asked[0]):
            self._tell(self._asked.popleft())
            if self._told % size == 0:
                self._close(self._told // size - 1)
            self._refill()

    def _ask(self, generation: int) -> Population | None:
        self._draw_from("asking", self.ledger.asked)
        asked = self.algorithm.ask()
        if asked is None or len(asked) == 0:
            return None
        if not self.ledger.has_begun(generation):
            self.reporter.generation_started(generation)
        self.ledger.number(asked, generation)
        assignments = (self.ledger.assignment(individual, generation) for individual in asked)
        self._waiting += [assignment for assignment in assignments if assignment is not None]
        return asked

    def _next_waiting(self) -> Assignment | None:
        """Hand the next candidate to a free worker; none when nothing waits or a budget is spent."""
        if not self._waiting:
            return None
        spent = self.budget.spent(self.start, self.ledger.archive.tokens)
        if spent:
            self.stopped_by = spent
            return None
        return self._waiting.popleft()

    def _assess(self, source: Callable[[], Assignment | None], after_each: Callable[[], None]) -> None:
        if not self._waiting:
            return
        self._workers = self._workers or self._start_workers()
        for assessed in self._workers.assess(source, self.reporter.candidate_progressed):
            self.trained.append(assessed.record.id)
            self.ledger.finish(assessed)
            after_each()

    def _known(self, asked: Population) -> bool:
        return all(individual.get("candidate") in self.ledger.archive.records for individual in asked)

    def _tell(self, asked: Population) -> None:
        ids, archive = [int(individual.get("candidate")) for individual in asked], self.ledger.archive
        Evaluator().eval(StaticProblem(self.problem, F=archive.objective_array(ids), G=archive.constraint_array(ids)), asked)
        self._draw_from("telling", self._told)
        self.algorithm.tell(infills=asked)
        self.ledger.settle(ids)
        self._told += len(asked)

    def _draw_from(self, act: Literal["asking", "telling"], number: int) -> None:
        """In a steady state, let every act draw from its own source: the last candidates of a run are told with none asked between them,
        which an extended run must arrive at as a longer one does that asks."""
        if self.config.algorithm.asynchronous:
            source = (self.config.algorithm.seed, number, act == "telling")
            self.algorithm.random_state = np.random.default_rng(source)

    def _close(self, generation: int) -> None:
        seconds = time.monotonic() - self._generation_start
        self._generation_start = time.monotonic()
        self.ledger.close_generation(generation, self.algorithm.pop, seconds)
