"""Print the tables of docs/results/star_at_proxy_scale.md from the packed records of the proxy study.

    python scripts/proxy_tables.py --records docs/results/proxy

A search's row holds the population of its last generation against the first one: medians, and the change of the median with the 95 %
percentile bootstrap interval over genomes. A comparison's row holds a model against the baselines: perplexity on the test split with
Student's interval over seeds, and what it has less of than they. Records are read where they are unpacked to, runs/proxy.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from proxy_study import BASELINES, RUNS, SMALL, unpack

from star_search.analysis.run_view import RunView
from star_search.genome.encoding import Genome
from star_search.objectives.registry import account_of
from star_search.runs.locate import locate
from star_search.runs.records import CandidateRecord, Outcome

SEARCHES = {**SMALL, "random": "cache_bytes", "unshared": "cache_bytes"}
LABELS = [name.partition("=")[0] for name in BASELINES]
LENGTH, RESAMPLES, MILLION = 1024, 10_000, 1e6


def change(before: Sequence[float], after: Sequence[float]) -> tuple[float, float, float]:
    """Return by what share the median changed, and the 95 % percentile bootstrap interval of that, from a fixed seed."""
    generator = np.random.default_rng(0)
    first, last = (np.median(generator.choice(values, (RESAMPLES, len(values))), 1) for values in (before, after))
    lower, upper = np.quantile(last / first - 1, (0.025, 0.975))
    return median(after) / median(before) - 1, float(lower), float(upper)


def percent(share: float) -> str:
    """Return a change as signed percent."""
    return f"{100 * share:+.0f} %"


def search_rows() -> Iterator[list[str]]:
    """Yield a row for every search that is there."""
    for name, small in SEARCHES.items():
        if not (RUNS / name / "run.json").exists():
            continue
        last = RunView.read(*locate(RUNS / name))
        first = RunView.read(last.run, 0)
        populations = [ok(first.population), ok(last.population)]
        lowest = min(record.objectives["perplexity"] for record in ok(last.records))
        volumes = [f"{each.hypervolume:.3f}" for each in (last.progress[0], last.progress[-1])] if len(last.names) > 1 else ["-"]
        cells = [*change_cells(populations, "perplexity"), f"{lowest:.1f}", *size_cells(populations, small), " to ".join(volumes)]
        yield [f"`{name}`", str(len(last.records)), *cells]


def ok(records: Sequence[CandidateRecord]) -> list[CandidateRecord]:
    """Return the candidates that were trained to their end."""
    return [record for record in records if record.outcome == Outcome.ok]


def change_cells(populations: Sequence[Sequence[CandidateRecord]], key: str, unit: float = 1) -> list[str]:
    """Return medians of an objective in two populations, and the change with its interval."""
    before, after = ([record.objectives[key] for record in population] for population in populations)
    share, lower, upper = change(before, after)
    return [f"{median(before) / unit:.1f} to {median(after) / unit:.1f}", f"{percent(share)} ({100 * lower:+.0f} to {100 * upper:+.0f})"]


def size_cells(populations: Sequence[Sequence[CandidateRecord]], key: str | None) -> list[str]:
    """Return the same of the objective that is to be small, where the search has one."""
    return ["-", "-"] if key is None else change_cells(populations, key, MILLION)


def model_rows(name: str) -> Iterator[list[str]]:
    """Yield a row for every model of a comparison, best perplexity first, the baselines last."""
    models = json.loads((RUNS / name / "comparison.json").read_text())["models"]
    view = RunView.read(*locate(RUNS / name.partition("-")[2]))
    caches = {model["label"]: cache_bytes(view, model) for model in models}
    baselines = {label: model for label in LABELS for model in models if model["label"] == label}
    for model in sorted(models, key=lambda model: (model["label"] in baselines, model["perplexity"])):
        lower, upper = model["interval"]
        row = [model["label"], f"{model['perplexity']:.1f} ({lower:.1f} to {upper:.1f})", f"{model['learning_rate']:g}"]
        row += [f"{model['parameters'] / MILLION:.2f}", f"{caches[model['label']] / MILLION:.2f}"]
        own = model["label"] in baselines
        row += ["-" if own else against(model, caches[model["label"]], each, caches[label]) for label, each in baselines.items()]
        yield row


def against(model: dict[str, Any], cache: int, baseline: dict[str, Any], its_cache: int) -> str:
    """Return how a model's perplexity and cache stand to a baseline's."""
    (lower, upper), (from_, to) = model["interval"], baseline["interval"]
    where = "below" if upper < from_ else "above" if lower > to else "not apart"
    return f"{where}; cache {percent(cache / its_cache - 1)}"


def cache_bytes(view: RunView, model: dict[str, Any]) -> int:
    """Return the cache of a compared model after `LENGTH` tokens."""
    config = view.config.model_copy(update={"space": view.config.space.model_copy(update={"width": model["width"]})})
    return account_of(config, Genome.parse(model["genome"])).cache_bytes(LENGTH)


def show(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table."""
    for row in (headings, ["---"] * len(headings), *rows):
        print(f"| {' | '.join(row)} |")
    print()


def main() -> None:
    """Print what the records hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=Path, default=Path("docs/results/proxy"))
    for archive in sorted(parser.parse_args().records.glob("*.tar.xz")):
        unpack(archive)
    headings = ["search", "candidates", "median perplexity", "change", "lowest", "median size (MB, M)", "change", "hypervolume"]
    show(headings, list(search_rows()))
    for name in SMALL:
        if (RUNS / f"finalists-{name}" / "comparison.json").exists():
            rows = list(model_rows(f"finalists-{name}"))
            headings = ["model", "test perplexity", "learning rate", "parameters, M", f"cache at {LENGTH:,} tokens, MB"]
            held_against = [f"against {label}" for label in LABELS if any(row[0] == label for row in rows)]
            show([*headings, *held_against], rows)


if __name__ == "__main__":
    main()
