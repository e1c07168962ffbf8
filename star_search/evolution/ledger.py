"""What a search writes down, and what of it a resumed search finds again instead of training."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

from pymoo.core.individual import Individual
from pymoo.core.population import Population

from star_search.config import SearchConfig
from star_search.errors import InputError, StarSearchError
from star_search.evolution.algorithms import Operators, mean_hamming_distance
from star_search.evolution.archive import Archive
from star_search.evolution.operators import MatingStatistics
from star_search.genome.encoding import Genome
from star_search.objectives.assignment import Assessed, Assignment, Sign
from star_search.objectives.racing import Standings
from star_search.objectives.registry import Criteria, account_of
from star_search.runs.atomic import patiently
from star_search.runs.directory import RunDirectory
from star_search.runs.records import CandidateRecord, GenerationRecord, Outcome, lost_tokens

Record = TypeVar("Record", CandidateRecord, GenerationRecord)


class Reporter(Protocol):
    """Told what happens, as it happens."""

    def generation_started(self, generation: int) -> None:
        """The first candidate of a generation is known."""

    def candidate_progressed(self, sign: Sign) -> None:
        """A worker begins with a candidate, or is further with its training."""

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


class Ledger:
    """Numbers candidates in the order asked, looks them up or hands out their assignments, and records what became of them."""

    def __init__(self, run: RunDirectory, config: SearchConfig, operators: Operators, criteria: Criteria, reporter: Reporter) -> None:
        self.run, self.config, self.operators, self.criteria, self.reporter = run, config, operators, criteria, reporter
        self.archive = Archive(criteria, run.provenance["reference_point"])
        self.recorded = {record.id: record for record in _intact(run.read_candidates(), "the candidate assessed")}
        self._generations = {record.generation: record for record in _intact(run.read_generations(), "it written")}
        self.standings = Standings(config)
        self._highest = max(self.recorded, default=-1)
        self._offspring: dict[int, list[int]] = defaultdict(list)
        self._statistics: dict[int, MatingStatistics] = defaultdict(MatingStatistics)
        self.asked = 0

    def has_begun(self, generation: int) -> bool:
        """Return whether a candidate of a generation that is not closed was asked for."""
        return generation in self._offspring

    def number(self, asked: Population, generation: int) -> None:
        """Number asked genomes in order, and refuse a recorded candidate that is another genome.

        Raises:
            StarSearchError: when a replayed search asks for something else than is recorded.
        """
        self._statistics[generation] += self.operators.statistics.take()
        ids = list(range(self.asked, self.asked + len(asked)))
        for number, individual in zip(ids, asked, strict=True):
            individual.set("candidate", number)
            self.operators.duplicates.archive.add(individual.get("canonical"))
            genome = self.operators.space.read(individual.X).format()
            if number in self.recorded and self.recorded[number].genome != genome:
                raise StarSearchError(
                    f"generation {generation} of {self.run.path} would ask for {genome} as candidate {number}, but "
                    f"{self.recorded[number].genome} is recorded: resume with the versions in its provenance.json"
                )
        self._offspring[generation] += ids
        self.asked += len(asked)

    def assignment(self, individual: Individual, generation: int) -> Assignment | None:
        """Return what is to be assessed, or None where the outcome is known: recorded before, or rejected untrained."""
        number = individual.get("candidate")
        if number in self.recorded:
            self.archive.add(self.recorded.pop(number))
            return None
        assignment = Assignment(
            id=number,
            generation=generation,
            genome=self.operators.space.read(individual.X).format(),
            canonical=individual.get("canonical"),
            weights_path=str(self.run.weights_path(number)),
            lineage=individual.get("lineage") or {},
            rivals=self.standings.rivals([self._values(number) for number in self.archive.front()]),
        )
        return None if self._rejected(assignment) else assignment

    def _rejected(self, assignment: Assignment) -> bool:
        """Record a candidate that is illegal or breaks a constraint on what is exact; it costs no training."""
        genome = Genome.parse(assignment.genome)
        problems = self.operators.space.rules.problems(genome) if self.config.algorithm.repair == "off" else []
        values = {} if problems else self.criteria.exact_values(account_of(self.config, Genome.parse(assignment.canonical)))
        reason = f"the genome is illegal: {problems[0].sentence}" if problems else self.criteria.rejection(values)
        if reason:
            self._finish(assignment.record(self.config.algorithm.seed, Outcome.rejected, reason, values))
        return bool(reason)

    def _values(self, number: int) -> list[float]:
        return [self.archive.records[number].objectives[name] for name in self.criteria.names]

    def settle(self, ids: list[int]) -> None:
        """Let told candidates count towards the front and the standings."""
        self.archive.settle(ids)
        for number in ids:
            self.standings.learn(self.archive.records[number])

    def finish(self, assessed: Assessed) -> None:
        """Record a candidate that was assessed."""
        if assessed.traceback:
            self._write(partial(self.run.write_traceback, assessed.record.id, assessed.traceback))
        self._finish(assessed.record)

    def _finish(self, record: CandidateRecord) -> None:
        self._write(partial(self.run.write_candidate, record))
        self.archive.add(record)
        self._write(partial(self.run.append_event, "candidate", id=record.id, outcome=record.outcome.value))
        self.reporter.candidate_finished(record)

    def _write(self, write: Callable[[], None]) -> None:
        """Write, waiting where the disk is full; the log says how long it was."""
        limit = self.config.workers.disk_timeout
        waited = patiently(write, limit)
        if waited:
            patiently(partial(self.run.append_event, "disk_full", seconds=waited), limit)

    def close_generation(self, generation: int, population: Population, seconds: float) -> None:
        """Record a finished generation, or hold one that was replayed against its record."""
        archive, members = self.archive, [int(individual.get("candidate")) for individual in population]
        genomes = [individual.X.tolist() for individual in population]
        ids = self._offspring.pop(generation)
        rates = self._statistics.pop(generation).rates(self.operators.space.size) | {
            "mean_hamming_distance": mean_hamming_distance(genomes),
            "distinct_architectures": float(len({archive.records[number].canonical for number in members})),
        }
        offspring = [archive.records[number] for number in ids]
        record = GenerationRecord(
            generation=generation,
            offspring=ids,
            population=members,
            front=archive.front(),
            rates=rates,
            outcomes=dict(Counter(record.outcome.value for record in offspring)),
            tokens=sum(record.tokens for record in offspring),
            measured={"seconds": seconds, "lost_tokens": sum(map(lost_tokens, offspring))},
        )
        self._keep(record)
        archive.keep([*members, *range(ids[-1] + 1, self.asked)])
        self.reporter.generation_finished(record)

    def _keep(self, record: GenerationRecord) -> None:
        before = self._generations.pop(record.generation, None)
        if before is None:
            self._write(partial(self.run.write_generation, record))
        elif before.comparable() != record.comparable():
            raise StarSearchError(
                f"generation {record.generation} of {self.run.path} came out otherwise than recorded: "
                "resume with the versions in its provenance.json"
            )
        # A replayed generation too, because a kill may have come before it; what is not told of yet is kept.
        last = record.offspring[-1]
        self.run.prune_weights({*record.front, *range(last + 1, max(self.asked, self._highest + 1))})


def _intact(found: tuple[list[Record], list[str]], what: str) -> list[Record]:
    records, damaged = found
    if damaged:
        raise InputError(f"{damaged[0]}; move that file away to have {what} again")
    return records
