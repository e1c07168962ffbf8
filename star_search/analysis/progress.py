"""Progress of a run over its generations."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from star_search.analysis.fronts import hypervolume
from star_search.runs.records import CandidateRecord, GenerationRecord, Outcome


@dataclass(frozen=True, slots=True)
class GenerationProgress:
    """What a generation and all before it reached; best and median are of the first objective."""

    generation: int
    candidates: int
    ok: int
    best: float | None
    median: float | None
    front: int
    hypervolume: float


def progress(
    generations: list[GenerationRecord], records: list[CandidateRecord], names: list[str], worst: list[float]
) -> list[GenerationProgress]:
    """Return one entry per finished generation."""
    by_id = {record.id: record for record in records}
    found = []
    for generation in generations:
        offspring = [by_id[number] for number in generation.offspring if number in by_id]
        values = [record.objectives[names[0]] for record in offspring if record.outcome == Outcome.ok]
        front = [by_id[number] for number in generation.front if number in by_id]
        found.append(
            GenerationProgress(
                generation=generation.generation,
                candidates=len(offspring),
                ok=len(values),
                best=min((record.objectives[names[0]] for record in front), default=None),
                median=median(values) if values else None,
                front=len(front),
                hypervolume=hypervolume(front, names, worst),
            )
        )
    return found
