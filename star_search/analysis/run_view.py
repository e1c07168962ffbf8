"""A run as its readers see it: configuration, candidates, generations, front."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import yaml

from star_search.analysis.progress import GenerationProgress, progress
from star_search.config import SearchConfig, parse_configuration
from star_search.genome.catalogue import Catalogue, load_catalogue
from star_search.runs.directory import RunDirectory
from star_search.runs.records import CandidateRecord, GenerationRecord


@dataclass(frozen=True)
class RunView:
    """What is recorded of a run up to one generation, the last finished one by default."""

    run: RunDirectory
    config: SearchConfig
    generation: int | None
    records: list[CandidateRecord]
    generations: list[GenerationRecord]
    damaged: list[str]

    @classmethod
    def read(cls, run: RunDirectory, generation: int | None = None) -> RunView:
        """Read a run; damaged records are named, the rest still returned.

        Raises:
            InputError: when the run's own configuration cannot be read.
        """
        config = parse_configuration(yaml.safe_load(run.config_yaml), where=str(run.path / "config.yaml"))
        records, damaged_records = run.read_candidates()
        generations, damaged_generations = run.read_generations()
        if generation is not None:
            records = [record for record in records if record.generation <= generation]
            generations = [record for record in generations if record.generation <= generation]
        last = generations[-1].generation if generations else None
        return cls(run, config, last if generation is None else generation, records, generations, damaged_records + damaged_generations)

    @property
    def names(self) -> list[str]:
        """Names of the objectives."""
        return self.config.objectives

    @cached_property
    def catalogue(self) -> Catalogue:
        """The catalogue of the genomes."""
        return load_catalogue(self.config.space.catalogue)

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """What the run was made with."""
        return self.run.provenance

    @cached_property
    def by_id(self) -> dict[int, CandidateRecord]:
        """Records by candidate id."""
        return {record.id: record for record in self.records}

    @property
    def front(self) -> list[CandidateRecord]:
        """The front of the last generation shown, best first objective first."""
        numbers = self.generations[-1].front if self.generations else []
        front = [self.by_id[number] for number in numbers if number in self.by_id]
        return sorted(front, key=lambda record: record.objectives[self.names[0]])

    @property
    def population(self) -> list[CandidateRecord]:
        """The population of the last generation shown."""
        numbers = self.generations[-1].population if self.generations else []
        return [self.by_id[number] for number in numbers if number in self.by_id]

    @cached_property
    def progress(self) -> list[GenerationProgress]:
        """Progress over the generations."""
        return progress(self.generations, self.records, self.names, self.provenance["reference_point"])
