"""A run as its readers see it: configuration, candidates, generations, front."""

from __future__ import annotations

import re
import reprlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from star_search.analysis.progress import GenerationProgress, progress
from star_search.analysis.record_check import candidate_problem, front_problem, generation_problem, is_size
from star_search.config import SearchConfig, parse_configuration
from star_search.errors import InputError
from star_search.genome.accounting import Accounting
from star_search.genome.catalogue import Catalogue, load_catalogue
from star_search.genome.encoding import Genome
from star_search.genome.rules import Rules
from star_search.runs.directory import RunDirectory
from star_search.runs.records import CandidateRecord, GenerationRecord, Outcome
from star_search.yaml_loading import parse_yaml

_PLAIN_GENOME = re.compile(r"[0-9a-z]{5}(-[0-9a-z]{5})*", re.ASCII)


def stored_configuration(run: RunDirectory) -> SearchConfig:
    """Return the configuration that a run was made with.

    Raises:
        InputError: when the run's file of it is damaged.
    """
    where = str(run.path / "config.yaml")
    values = parse_yaml(run.config_yaml, where)
    if not isinstance(values, dict):
        raise InputError(f"{where} is damaged: it must hold keys and values")
    return parse_configuration(values, where=where)


def stored_reference_point(run: RunDirectory, config: SearchConfig) -> list[float]:
    """Return the point that a run's hypervolumes are measured from, a number for each of its objectives.

    Raises:
        InputError: when the run's file of it is damaged.
    """
    point, count = run.provenance.get("reference_point"), len(config.objectives)
    if not isinstance(point, list) or len(point) != count or not all(map(is_size, point)):
        needed = f"{count} finite numbers of at least 0, one per objective"
        raise InputError(f"{run.path / 'provenance.json'} is damaged: reference_point must be {needed}, got {reprlib.repr(point)}")
    return point


def stored_provenance(run: RunDirectory, config: SearchConfig) -> dict[str, Any]:
    """Return what a run was made with, all that a resumed run reads of it checked.

    Raises:
        InputError: when the file is damaged.
    """
    stored_reference_point(run, config)
    values = run.provenance
    where, data = f"{run.path / 'provenance.json'} is damaged", values.get("data")
    _check_unigram_loss(run, values.get("unigram_loss"))
    if not isinstance(data, dict) or not isinstance(data.get("fingerprint"), str):
        raise InputError(f"{where}: data must hold the fingerprint of the text, got {reprlib.repr(data)}")
    return values


def _check_unigram_loss(run: RunDirectory, loss: object) -> None:
    if not is_size(loss):
        where = f"{run.path / 'provenance.json'} is damaged"
        raise InputError(f"{where}: unigram_loss must be a finite number of at least 0, got {reprlib.repr(loss)}")


def _usable_generations(
    run: RunDirectory, found: list[GenerationRecord], candidates: list[CandidateRecord]
) -> tuple[list[GenerationRecord], list[str]]:
    """Return the generations that can be shown, their fronts without members that cannot be in one, and what is wrong with the others."""
    outcomes = {record.id: record.outcome for record in candidates}
    usable, problems = [], dict[str, str]()
    for record in found:
        where = f"{run.generation_path(record.generation)} is damaged"
        if broken := generation_problem(record):
            problems[where] = f"{where}: {broken}"
            continue
        if wrong := front_problem(record, outcomes):
            # One candidate's outcome is wrong in every generation that has it in its front, and is said of the last.
            problems[wrong] = f"{where}: {wrong}"
        usable.append(replace(record, front=[each for each in record.front if outcomes.get(each, Outcome.ok) == Outcome.ok]))
    return usable, list(problems.values())


def record_problem(run: RunDirectory, record: CandidateRecord, names: list[str]) -> str:
    """Return what keeps a record that can be read from being shown or used, empty when nothing does."""
    path = run.candidate_path(record.id)
    if problem := candidate_problem(record, names):
        return f"{path} is damaged: {problem}"
    # Most genomes are plain digits, and a run may have thousands: only the others need to be read to know that they can be.
    if not _PLAIN_GENOME.fullmatch(record.canonical):
        try:
            Genome.parse(record.canonical)
        except InputError as error:
            return f"{path} is damaged: {error}"
    return ""


@dataclass(frozen=True)
class RunView:
    """What is recorded of a run up to one generation, the last finished one by default."""

    run: RunDirectory
    config: SearchConfig
    generation: int | None
    records: list[CandidateRecord]
    generations: list[GenerationRecord]
    damaged: list[str]
    reference_point: list[float]

    @classmethod
    def read(cls, run: RunDirectory, generation: int | None = None) -> RunView:
        """Read a run; damaged records are named, the rest still returned.

        Raises:
            InputError: when the run's own configuration cannot be read.
        """
        config = stored_configuration(run)
        point = stored_reference_point(run, config)
        found, damaged_records = run.read_candidates()
        problems = {record.id: record_problem(run, record, config.objectives) for record in found}
        records = [record for record in found if not problems[record.id]]
        damaged_records += [problem for problem in problems.values() if problem]
        read, damaged_generations = run.read_generations()
        generations, problems_of_generations = _usable_generations(run, read, found)
        damaged_generations += problems_of_generations
        if generation is not None:
            records = [record for record in records if record.generation <= generation]
            generations = [record for record in generations if record.generation <= generation]
        last = generations[-1].generation if generations else None
        shown = last if generation is None else generation
        return cls(run, config, shown, records, generations, damaged_records + damaged_generations, point)

    @property
    def names(self) -> list[str]:
        """Names of the objectives."""
        return self.config.objectives

    @cached_property
    def catalogue(self) -> Catalogue:
        """The catalogue of the genomes."""
        return load_catalogue(self.config.space.catalogue)

    def account(self, record: CandidateRecord) -> Accounting | None:
        """Return the exact sizes of a candidate; none where its genome is illegal, as without repair."""
        genome = Genome.parse(record.canonical)
        if record.outcome == Outcome.rejected and Rules.of(self.catalogue, genome.layout).problems(genome):
            return None
        return Accounting.of(genome, self.config.space.width, self.catalogue, self.config.backbone.residual)

    def candidate(self, number: int) -> CandidateRecord:
        """Return one candidate by its id.

        Raises:
            InputError: when there is none.
        """
        if number not in self.by_id:
            present = f"it has {min(self.by_id)} to {max(self.by_id)}" if self.by_id else "it has none yet"
            raise InputError(f"{self.run.path} has no candidate {number}; {present}")
        return self.by_id[number]

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """What the run was made with."""
        values = self.run.provenance
        if "unigram_loss" in values:
            _check_unigram_loss(self.run, values["unigram_loss"])
        return values

    @cached_property
    def by_id(self) -> dict[int, CandidateRecord]:
        """Records by candidate id."""
        return {record.id: record for record in self.records}

    @property
    def front(self) -> list[CandidateRecord]:
        """The front of the last generation shown, best first objective first."""
        front = [self.by_id[number] for number in (self._last.front if self._last else []) if number in self.by_id]
        return sorted(front, key=lambda record: record.objectives[self.names[0]])

    @property
    def population(self) -> list[CandidateRecord]:
        """The population of the last generation shown."""
        return [self.by_id[number] for number in (self._last.population if self._last else []) if number in self.by_id]

    @property
    def _last(self) -> GenerationRecord | None:
        """The record of the generation shown; none when it is damaged."""
        return next((record for record in self.generations if record.generation == self.generation), None)

    @cached_property
    def progress(self) -> list[GenerationProgress]:
        """Progress over the generations."""
        return progress(self.generations, self.records, self.names, self.reference_point)
