"""A run looked at under other objectives, without training: what is exact follows from genomes, the rest from the records."""

from __future__ import annotations

import math
from dataclasses import replace

from star_search.analysis.fronts import front_of
from star_search.analysis.run_view import RunView
from star_search.errors import InputError
from star_search.genome.encoding import Genome
from star_search.genome.space import SearchSpace
from star_search.objectives.registry import Criteria, account_of
from star_search.runs.records import CandidateRecord, GenerationRecord, Outcome


def reassess(view: RunView, names: list[str]) -> RunView:
    """Return the view with these objectives: every candidate's values, the front of every generation and the reference point.

    Raises:
        InputError: for an objective that is unknown, stands twice, or needs a training that the run's records do not tell of.
    """
    if not 1 <= len(names) <= 3:
        raise InputError(f"--objectives must name one to three objectives, got {len(names)}")
    config = view.config.model_copy(update={"objectives": names})
    criteria = Criteria.from_config(config)
    records = [_with_values(record, view, criteria) for record in view.records]
    _check_known(records, names)
    fit = {record.id: record for record in records if record.outcome == Outcome.ok and not criteria.rejection(record.objectives)}
    generations, front = [], list[CandidateRecord]()
    for generation in view.generations:
        front = front_of([*front, *(fit[number] for number in generation.offspring if number in fit)], names)
        generations.append(_with_front(generation, front))
    point = _reference_point(view, criteria, records)
    return replace(view, config=config, records=records, generations=generations, reference_point=point)


def _with_values(record: CandidateRecord, view: RunView, criteria: Criteria) -> CandidateRecord:
    known = {each.name for each in criteria.objectives if each.kind.exact is None} | set(record.objectives)
    if all(each.name in known for each in criteria.objectives):
        return record
    space = SearchSpace.from_config(view.config.space)
    genome = Genome.parse(record.genome)
    if space.rules.problems(genome):
        return record
    exact = criteria.exact_values(account_of(view.config, Genome.parse(record.canonical)))
    return replace(record, objectives=record.objectives | exact)


def _check_known(records: list[CandidateRecord], names: list[str]) -> None:
    for record in records:
        missing = [name for name in names if name not in record.objectives]
        if record.outcome == Outcome.ok and missing:
            raise InputError(f"--objectives {missing[0]} needs a training that candidate {record.id} did not have")


def _with_front(generation: GenerationRecord, front: list[CandidateRecord]) -> GenerationRecord:
    return replace(generation, front=sorted(record.id for record in front))


def _reference_point(view: RunView, criteria: Criteria, records: list[CandidateRecord]) -> list[float]:
    """Return the run's own reference where it has the objective, else what the same rules give."""
    loss = float(view.provenance["unigram_loss"])
    bits = next((each.objectives for each in records if {"perplexity", "bits_per_byte"} <= each.objectives.keys()), None)
    # Bits per byte and the loss in nats differ by a factor that the validation text alone decides.
    unigram_bits = loss / math.log(bits["perplexity"]) * bits["bits_per_byte"] if bits else math.nan
    space = SearchSpace.from_config(view.config.space)
    # What has no bound of its own is bounded by what was seen of it.
    seen = {name: max((each.objectives[name] for each in records if name in each.objectives), default=1.0) for name in criteria.names}
    worst = criteria.worst(space, view.config.backbone.residual, loss, unigram_bits, seen)
    own = dict(zip(view.names, view.reference_point, strict=True))
    return [own.get(name, bound) for name, bound in zip(criteria.names, worst, strict=True)]
