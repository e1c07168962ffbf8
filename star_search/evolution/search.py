"""The search loop: ask pymoo for genomes, have them assessed, tell it what came of them, and record everything.

A resumed run is the same loop from the beginning: recorded candidates are looked up instead of trained, so that it arrives where the
killed run was, bit for bit, whatever the algorithm keeps in its memory.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from pymoo.core.evaluator import Evaluator
from pymoo.core.population import Population
from pymoo.problems.static import StaticProblem

from star_search.config import SearchConfig
from star_search.errors import InputError, StarSearchError
from star_search.evolution.algorithms import Operators, SearchProblem, build_algorithm, mean_hamming_distance
from star_search.evolution.archive import Archive
from star_search.evolution.workers import Workers
from star_search.genome.encoding import Genome
from star_search.genome.space import SearchSpace
from star_search.objectives.assignment import Assignment
from star_search.objectives.registry import Criteria, account_of
from star_search.runs.directory import RunDirectory
from star_search.runs.records import CandidateRecord, GenerationRecord, Outcome

if TYPE_CHECKING:
    from star_search.training.trainer import Progress

Record = TypeVar("Record", CandidateRecord, GenerationRecord)


class Reporter(Protocol):
    """Told what happens, as it happens."""

    def generation_started(self, generation: int, assignments: list[Assignment]) -> None:
        """A generation's candidates are known; those already recorded are not among `assignments`."""

    def candidate_progressed(self, number: int, progress: Progress) -> None:
        """A candidate trains."""

    def candidate_finished(self, record: CandidateRecord) -> None:
        """A candidate has its outcome."""

    def generation_finished(self, record: GenerationRecord) -> None:
        """A generation is recorded."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What one session may spend: wall-clock hours from its start, tokens over the whole run."""

    hours: float | None = None
    tokens: int | None = None

    def spent(self, start: float, tokens: int) -> str:
        """Return which budget is used up, empty while none is."""
        if self.hours is not None and time.monotonic() - start >= self.hours * 3600:
            return f"{self.hours:g} hours"
        if self.tokens is not None and tokens >= self.tokens:
            return f"{self.tokens:,} tokens"
        return ""


class Search:
    """One search in one run directory."""

    def __init__(
        self, run: RunDirectory, config: SearchConfig, start_workers: Callable[[], Workers], reporter: Reporter, budget: Budget
    ) -> None:
        self.run_directory, self.config, self.reporter, self.budget = run, config, reporter, budget
        self.space = SearchSpace.from_config(config.space)
        self.criteria = Criteria.from_config(config)
        self.archive = Archive(self.criteria, run.provenance["reference_point"])
        self.recorded = {record.id: record for record in _intact(run.read_candidates(), "the candidate assessed")}
        self.recorded_generations = {record.generation: record for record in _intact(run.read_generations(), "it written")}
        self.operators = Operators(self.space, config.algorithm)
        self.problem = SearchProblem(self.space, len(self.criteria.objectives), 1 + len(self.criteria.constraints))
        self.algorithm = build_algorithm(self.operators, self.problem)
        self._start_workers = start_workers
        self._workers: Workers | None = None
        self.start = time.monotonic()
        self.stopped_by = ""
        self.trained: list[int] = []

    def run(self) -> bool:
        """Search until the last generation; return False when a budget ended it before."""
        try:
            return all(self._generation(generation) for generation in range(self.config.algorithm.generations + 1))
        finally:
            if self._workers is not None:
                self._workers.close()

    def _generation(self, generation: int) -> bool:
        started = time.monotonic()
        asked = self.algorithm.ask()
        if asked is None or len(asked) == 0:
            self.stopped_by = "a search space in which mating finds nothing new"
            return False
        ids = self._identify(asked, generation)
        self._assess(generation, asked, ids)
        if self.stopped_by:
            return False
        self._tell(asked, ids)
        self._record_generation(generation, ids, time.monotonic() - started)
        return True

    def _identify(self, asked: Population, generation: int) -> list[int]:
        """Number the asked genomes in order, and refuse a recorded candidate that is another genome."""
        first = len(self.operators.duplicates.archive)
        for number, individual in enumerate(asked, first):
            individual.set("candidate", number)
            genome = self.space.read(individual.X).format()
            self.operators.duplicates.archive.add(individual.get("canonical"))
            if number in self.recorded and self.recorded[number].genome != genome:
                raise StarSearchError(
                    f"generation {generation} of {self.run_directory.path} would ask for {genome} as candidate {number}, but "
                    f"{self.recorded[number].genome} is recorded: resume with the versions in its provenance.json"
                )
        return list(range(first, first + len(asked)))

    def _assess(self, generation: int, asked: Population, ids: list[int]) -> None:
        missing = []
        for number, individual in zip(ids, asked, strict=True):
            if number in self.recorded:
                self.archive.add(self.recorded[number])
            else:
                missing.append(self._assignment(number, generation, individual))
        self.reporter.generation_started(generation, missing)
        waiting = [assignment for assignment in missing if not self._rejected(assignment)]
        if not waiting:
            return
        self._workers = self._workers or self._start_workers()
        for assessed in self._workers.assess(self._within_budget(waiting), self.reporter.candidate_progressed):
            self.trained.append(assessed.record.id)
            if assessed.traceback:
                self.run_directory.write_traceback(assessed.record.id, assessed.traceback)
            self._finish_candidate(assessed.record)

    def _assignment(self, number: int, generation: int, individual: Population) -> Assignment:
        return Assignment(
            id=number,
            generation=generation,
            genome=self.space.read(individual.X).format(),
            canonical=individual.get("canonical"),
            weights_path=str(self.run_directory.weights_path(number)),
            lineage=individual.get("lineage") or {},
        )

    def _rejected(self, assignment: Assignment) -> bool:
        """Record a candidate that breaks a constraint on what is exact; it costs no training."""
        values = self.criteria.exact_values(account_of(self.config, Genome.parse(assignment.canonical)))
        reason = self.criteria.rejection(values)
        if reason:
            self._finish_candidate(assignment.record(self.config.algorithm.seed, Outcome.rejected, reason, values))
        return bool(reason)

    def _within_budget(self, assignments: list[Assignment]) -> Iterator[Assignment]:
        for assignment in assignments:
            self.stopped_by = self.budget.spent(self.start, sum(record.tokens for record in self.archive.records.values()))
            if self.stopped_by:
                return
            yield assignment

    def _finish_candidate(self, record: CandidateRecord) -> None:
        self.run_directory.write_candidate(record)
        self.archive.add(record)
        self.run_directory.append_event("candidate", id=record.id, outcome=record.outcome.value)
        self.reporter.candidate_finished(record)

    def _tell(self, asked: Population, ids: list[int]) -> None:
        values = StaticProblem(self.problem, F=self.archive.objective_array(ids), G=self.archive.constraint_array(ids))
        Evaluator().eval(values, asked)
        self.algorithm.tell(infills=asked)

    def _record_generation(self, generation: int, ids: list[int], seconds: float) -> None:
        population = [int(individual.get("candidate")) for individual in self.algorithm.pop]
        genomes = [Genome.parse(self.archive.records[number].genome).integers() for number in population]
        statistics = self.operators.statistics
        rates = statistics.rates(self.space.size) | {
            "mean_hamming_distance": mean_hamming_distance(genomes),
            "distinct_architectures": float(len({self.archive.records[number].canonical for number in population})),
        }
        statistics.reset()
        offspring = [self.archive.records[number] for number in ids]
        record = GenerationRecord(
            generation=generation,
            offspring=ids,
            population=population,
            front=self.archive.front(),
            rates=rates,
            outcomes=dict(Counter(record.outcome.value for record in offspring)),
            tokens=sum(record.tokens for record in offspring),
            measured={"seconds": seconds},
        )
        self._keep_generation(record)
        self.reporter.generation_finished(record)

    def _keep_generation(self, record: GenerationRecord) -> None:
        """Write a generation that is new; hold one that was replayed against what is recorded."""
        before = self.recorded_generations.get(record.generation)
        if before is None:
            self.run_directory.write_generation(record)
        elif before.comparable() != record.comparable():
            raise StarSearchError(
                f"generation {record.generation} of {self.run_directory.path} came out otherwise than recorded: "
                "resume with the versions in its provenance.json"
            )
        # A replayed generation too, because a kill may have come before it; what a replay has not reached yet is kept.
        self.run_directory.prune_weights(set(record.front) | (self.recorded.keys() - self.archive.records.keys()))


def _intact(found: tuple[list[Record], list[str]], what: str) -> list[Record]:
    records, damaged = found
    if damaged:
        raise InputError(f"{damaged[0]}; move that file away to have {what} again")
    return records
