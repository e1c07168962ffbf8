"""Searches held against random search at one token budget, over several seeds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from star_search.analysis.fronts import hypervolume
from star_search.analysis.run_view import RunView
from star_search.analysis.statistics import PairedComparison, confidence_interval, paired_comparison
from star_search.config import SearchConfig
from star_search.evolution.archive import Archive
from star_search.evolution.kinds import KINDS, kind_of
from star_search.objectives.registry import Criteria
from star_search.runs.directory import RunDirectory
from star_search.runs.records import Outcome, spent_tokens

BASELINE = "random"


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
