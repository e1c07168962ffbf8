"""Searches held against random search at one token budget, over several seeds."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from star_search.analysis.fronts import hypervolume
from star_search.analysis.run_view import RunView
from star_search.analysis.statistics import PairedComparison, confidence_interval, paired_comparison
from star_search.config import DataConfig, SearchConfig, SpaceConfig
from star_search.config_objectives import MeasurementConfig
from star_search.errors import InputError
from star_search.evolution.archive import Archive
from star_search.evolution.kinds import KINDS, kind_of
from star_search.genome.space import SearchSpace
from star_search.objectives.registry import FROM_LOSS, Criteria
from star_search.runs.directory import RunDirectory
from star_search.runs.records import Outcome, spent_tokens

BASELINE = "random"
_OF_LOSSES = (*(f"data.{key}" for key in DataConfig.model_fields), "training.sequence_length")
_OF_SIZES = (*(f"space.{key}" for key in SpaceConfig.model_fields), "backbone.residual", "training.sequence_length")
_OF_MEASUREMENTS = (*_OF_SIZES, *(f"measurement.{key}" for key in MeasurementConfig.model_fields), "constraints")


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """One search to compare: its label, and what it changes in the configuration."""

    label: str
    overrides: tuple[str, ...]

    @classmethod
    def parse(cls, text: str, config: SearchConfig) -> SearchPlan:
        """Read `name key=value ...`, for example `nsga2 algorithm.repair=off`; keys that another algorithm owns are taken away.

        Raises:
            InputError: for an unknown algorithm.
        """
        name, *changes = text.split() or [""]
        parameters, algorithm = kind_of(name).parameters, config.algorithm
        own = {key for kind in KINDS.values() for key in kind.parameters} - parameters.keys()
        adapted = [f"algorithm.{key}=null" for key in sorted(own) if getattr(algorithm, key) is not None]
        if "horizon" in parameters and algorithm.horizon is None:
            adapted.append(f"algorithm.horizon={max(1, algorithm.generations)}")
        return cls(" ".join([name, *changes]), (f"algorithm.name={name}", *adapted, *changes))

    def folder(self, root: Path, seed: int) -> Path:
        """Return where the run of one seed lies."""
        return root / f"{''.join(letter if letter.isalnum() else '-' for letter in self.label)}-{seed}"


def check_comparable(configs: Mapping[str, SearchConfig], budget_tokens: int) -> None:
    """Refuse searches, by label, whose hypervolumes are shares of different boxes, and a budget that no candidate fits.

    Raises:
        InputError: naming the searches and the key in which they differ, or the tokens that one candidate takes.
    """
    (first, reference), *others = configs.items()
    for label, config in others:
        for key in _box_keys(reference, config):
            one, other = attrgetter(key)(reference), attrgetter(key)(config)
            if one != other:
                raise InputError(
                    f"hypervolumes of '{first}' and '{label}' cannot be compared: {key} is {reprlib.repr(one)} in one and "
                    f"{reprlib.repr(other)} in the other; --set changes it for all"
                )
    for label, config in configs.items():
        needed = config.training.steps * config.training.batch_tokens
        if budget_tokens < needed:
            raise InputError(f"a budget of {budget_tokens:,} tokens holds no candidate of '{label}', which takes {needed:,}")


def _box_keys(one: SearchConfig, other: SearchConfig) -> Iterator[str]:
    """Yield the keys in which two searches must be equal for their objectives to have one reference point."""
    yield "objectives"
    criteria = Criteria.from_config(one)
    if any(objective.kind.own for objective in criteria.objectives):
        yield "own_objectives"
    if not set(FROM_LOSS).isdisjoint(criteria.names):
        yield from _OF_LOSSES
    if any(objective.kind.measured for objective in criteria.objectives):
        yield from _OF_MEASUREMENTS
    if _largest_sizes(one) != _largest_sizes(other):
        yield from _OF_SIZES


def _largest_sizes(config: SearchConfig) -> list[float]:
    """Return the reference point of a search, with 0 for what does not follow from its space."""
    criteria = Criteria.from_config(config)
    unknown = dict.fromkeys(criteria.names, 0.0)
    return criteria.worst(SearchSpace.from_config(config.space), config.backbone.residual, 0.0, 0.0, unknown)


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What one search reached within the budget."""

    hypervolume: float
    best: float | None
    candidates: int
    ok: int
    tokens: int


def result_within(run: RunDirectory, budget_tokens: int) -> SearchResult:
    """Return what the candidates reached that fit the budget, taken in the order asked, so that workers change nothing."""
    view = RunView.read(run)
    archive, first, tokens, ok = Archive(Criteria.from_config(view.config), view.reference_point), view.names[0], 0, 0
    counted = []
    for record in view.records:
        if tokens + spent_tokens(record) > budget_tokens:
            break
        tokens, ok = tokens + spent_tokens(record), ok + (record.outcome == Outcome.ok)
        archive.add(record)
        archive.settle([record.id])
        counted.append(record)
    front = [archive.records[number] for number in archive.front()]
    best = min((record.objectives[first] for record in front), default=None)
    return SearchResult(hypervolume(front, view.names, view.reference_point), best, len(counted), ok, tokens)


@dataclass(frozen=True, slots=True)
class SearchSummary:
    """One search over all seeds: results by seed, mean hypervolume with its 95 % interval, and the comparison with the baseline."""

    label: str
    results: list[SearchResult]
    mean: float
    interval: tuple[float, float]
    against_baseline: PairedComparison | None


def summarise(results: dict[str, list[SearchResult]]) -> list[SearchSummary]:
    """Return a summary per search; the first is the baseline."""
    labels = list(results)
    volumes = {label: [result.hypervolume for result in found] for label, found in results.items()}
    return [
        SearchSummary(
            label,
            results[label],
            sum(volumes[label]) / len(volumes[label]),
            confidence_interval(volumes[label]),
            paired_comparison(volumes[label], volumes[labels[0]]) if label != labels[0] else None,
        )
        for label in labels
    ]
