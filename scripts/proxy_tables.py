"""Print the tables of docs/results/star_at_proxy_scale.md from the packed records of the proxy study.

    python scripts/proxy_tables.py --records docs/results/proxy

A search's row holds the population of its last generation against the first one: medians, and the change of the median with the 95 %
percentile bootstrap interval over genomes. A comparison's row holds a model against the baselines: perplexity on the test split with
Student's interval over seeds, whether the two intervals meet, and the difference in what the search made small: cache, or parameters, where
the baselines are those as wide as candidates. An algorithm's row holds its searches of the step `controls` against random search. Then what
the six benchmarks gave the models of transfers, and MAD tasks (`mad.jsonl` beside the records). The last tables declare the finalists for
cache and their baselines at 48 x 2048, each genome twice in a row. Records are read where they are unpacked to, runs/proxy.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import mad
import numpy as np
import proxy_downstream
from proxy_study import BASELINES, RUNS, SMALL, unpack
from scipy.stats import spearmanr

from star_search.analysis.run_view import RunView
from star_search.analysis.statistics import NORMAL_95
from star_search.analysis.student import mean_interval
from star_search.evolution.algorithms import mean_hamming_distance
from star_search.evolution.comparison import BASELINE
from star_search.genome.accounting import Accounting
from star_search.genome.encoding import Genome
from star_search.genome.scaling import scaled
from star_search.objectives.registry import account_of
from star_search.runs.locate import locate
from star_search.runs.records import CandidateRecord, Outcome

SEARCHES = {**SMALL, "random": "cache_bytes", "unshared": "cache_bytes"}
LENGTH, RESAMPLES, MILLION = 1024, 10_000, 1e6
KINDS = ("finalists", "transfer")
LARGE_DEPTH, LARGE_WIDTH, LONG = 48, 2048, 32_768


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


def models_of(name: str) -> list[dict[str, Any]]:
    """Return the models of a comparison; none where it is not there."""
    file = RUNS / name / "comparison.json"
    found: list[dict[str, Any]] = json.loads(file.read_text())["models"] if file.exists() else []
    return found


def compared(name: str) -> list[dict[str, Any]]:
    """Return the models of a comparison with their caches, and with finalists for fewer parameters the baselines as wide as candidates."""
    models = models_of(name)
    if name == "finalists-size":
        models += [each for each in models_of("baselines") if each["label"] in BASELINES]
    view = RunView.read(*locate(RUNS / searched(name)))
    return [{**model, "cache_bytes": cache_bytes(view, model)} for model in models]


def searched(comparison: str) -> str:
    """Return the search whose candidates a comparison holds."""
    return comparison.partition("-")[2]


def model_table(name: str) -> tuple[list[str], list[list[str]]]:
    """Return the headings and a row for every model of a comparison, best perplexity first, the baselines last."""
    models = sorted(compared(name), key=lambda model: (model["label"] in BASELINES, model["perplexity"]))
    baselines = [max(same, key=lambda model: model["width"]) for label in BASELINES if (same := [m for m in models if m["label"] == label])]
    rows = []
    for model in models:
        lower, upper = model["interval"]
        row = [named(model), f"{model['perplexity']:.1f} ({lower:.1f} to {upper:.1f})", f"{model['learning_rate']:g}"]
        row += [f"{model['parameters'] / MILLION:.2f}", f"{model['cache_bytes'] / MILLION:.2f}"]
        rows.append([*row, *("-" if model["label"] in BASELINES else against(model, each, SMALL[searched(name)]) for each in baselines)])
    headings = ["model", "test perplexity", "learning rate", "parameters, M", f"cache at {LENGTH:,} tokens, MB"]
    return [*headings, *(f"against {named(each)}" for each in baselines)], rows


def named(model: dict[str, Any]) -> str:
    """Return what a model is called; of a baseline, whose width may be another, with its width."""
    return f"{model['label']}, width {model['width']}" if model["label"] in BASELINES else model["label"]


def against(model: dict[str, Any], baseline: dict[str, Any], key: str | None) -> str:
    """Return how a model's perplexity stands to a baseline's, and by how much what the search made small differs."""
    (lower, upper), (from_, to) = model["interval"], baseline["interval"]
    where = "below" if upper < from_ else "above" if lower > to else "not apart"
    return where if key is None else f"{where}, {percent(model[key] / baseline[key] - 1)}"


def ranks(kind: str, names: Iterable[str]) -> tuple[float, float, float, int] | None:
    """Return Spearman's correlation of perplexity in searches and in their comparisons of a kind, its 95 % interval (Bonett and Wright
    2000), and the number of candidates; none where there are fewer than five.
    """
    short, long = [], []
    for name in names:
        if not models_of(f"{kind}-{name}"):
            continue
        records = RunView.read(*locate(RUNS / name)).by_id
        for model in compared(f"{kind}-{name}"):
            if model["label"] not in BASELINES:
                short.append(records[int(model["label"].rpartition("-")[2])].objectives["perplexity"])
                long.append(model["perplexity"])
    if len(short) < 5:
        return None
    found = float(spearmanr(short, long).statistic)
    width = NORMAL_95 * math.sqrt((1 + found**2 / 2) / (len(short) - 3))
    with np.errstate(divide="ignore"):  # Equal ranks have no interval.
        middle = np.arctanh(found)
    return found, float(np.tanh(middle - width)), float(np.tanh(middle + width)), len(short)


def cache_bytes(view: RunView, model: dict[str, Any]) -> int:
    """Return the cache of a compared model after `LENGTH` tokens."""
    return account(view, Genome.parse(model["genome"]), model["width"]).cache_bytes(LENGTH)


def account(view: RunView, genome: Genome, width: int) -> Accounting:
    """Return the account of a genome at another width than the search's."""
    return account_of(view.config.model_copy(update={"space": view.config.space.model_copy(update={"width": width})}), genome)


def noise_rows() -> Iterator[list[str]]:
    """Yield what another seed changes in each model of the step `noise`: its perplexities and their standard deviation."""
    for model in models_of("noise"):
        values = model["perplexities"]
        share = stdev(values) / mean(values)
        yield [model["label"], f"{mean(values):.1f}", f"{min(values):.1f} to {max(values):.1f}", f"{100 * share:.1f} %", str(len(values))]


def control_rows() -> Iterator[list[str]]:
    """Yield a row for every algorithm of the step `controls`, over the seeds of which its search and random search are finished, as far as
    the longest is: hypervolume, the same less random search's, lowest perplexity, and the share of genes in which two of the last
    population differ.
    """
    runs = {folder.name: RunView.read(*locate(folder)) for folder in sorted((RUNS / "controls").glob("*-*"))}
    largest = max((len(view.records) for view in runs.values()), default=0)
    finished = {name.rpartition("-")[::2]: view for name, view in runs.items() if len(view.records) == largest}
    chance = {seed: view.progress[-1].hypervolume for (name, seed), view in finished.items() if name == BASELINE}
    for algorithm in dict.fromkeys(name for name, seed in finished if seed in chance):
        views = {seed: view for (name, seed), view in finished.items() if name == algorithm and seed in chance}
        volumes = {seed: view.progress[-1].hypervolume for seed, view in views.items()}
        lowest = [min(record.objectives["perplexity"] for record in ok(view.records)) for view in views.values()]
        genomes = [[Genome.parse(each.canonical).integers() for each in view.population] for view in views.values()]
        differing = mean(mean_hamming_distance(each) / len(each[0]) for each in genomes)
        gains = [volume - chance[seed] for seed, volume in volumes.items()]
        cells = [with_interval(list(volumes.values()), 3), "-" if algorithm == BASELINE else with_interval(gains, 3)]
        yield [algorithm, ", ".join(views), *cells, with_interval(lowest, 1), f"{100 * differing:.0f} %"]


def with_interval(values: Sequence[float], digits: int) -> str:
    """Return a mean with Student's 95 % interval, where there are two values or more."""
    interval = mean_interval(values)
    shown = f"{mean(values):.{digits}f}"
    return shown if interval is None else f"{shown} ({interval[0]:.{digits}f} to {interval[1]:.{digits}f})"


def large_table(name: str) -> tuple[list[str], list[list[str]]]:
    """Return the headings and a row for every model of a comparison at `LARGE_DEPTH` x `LARGE_WIDTH`, smallest cache first."""
    view = RunView.read(*locate(RUNS / searched(name)))
    catalogue = view.config.space.catalogue
    large = {
        model["label"]: account(view, scaled(Genome.parse(model["genome"]), LARGE_DEPTH, "stack", catalogue), LARGE_WIDTH)
        for model in models_of(name)
    }
    rows, baselines = [], [label for label in BASELINES if label in large]
    for label, found in sorted(large.items(), key=lambda item: (item[0] in BASELINES, item[1].cache_bytes(LONG))):
        shares = ["-" if label in BASELINES else percent(found.cache_bytes(LONG) / large[each].cache_bytes(LONG) - 1) for each in baselines]
        sizes = (found.parameters / MILLION, *(found.cache_bytes(length) / MILLION for length in (LENGTH, LONG)))
        rows.append([label, *(f"{size:,.0f}" for size in sizes), *shares])
    headings = [f"at {LARGE_DEPTH} x {LARGE_WIDTH}", "parameters, M", *(f"cache at {length:,} tokens, MB" for length in (LENGTH, LONG))]
    return [*headings, *(f"against {label}" for label in baselines)], rows


def show(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table."""
    for row in (headings, ["---"] * len(headings), *rows):
        print(f"| {' | '.join(row)} |")
    print()


def main() -> None:
    """Print what the records hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=Path, default=Path("docs/results/proxy"))
    folder = parser.parse_args().records
    for archive in sorted(folder.glob("*.tar.xz")):
        unpack(archive)
    headings = ["search", "candidates", "median perplexity", "change", "lowest", "median size (MB, M)", "change", "hypervolume"]
    show(headings, list(search_rows()))
    for name in (f"{kind}-{search}" for kind in KINDS for search in SMALL):
        if models_of(name):
            show(*model_table(name))
    if models_of("noise"):
        show(["model", "mean perplexity", "range", "standard deviation", "seeds"], list(noise_rows()))
    if controls := list(control_rows()):
        show(["algorithm", "seeds", "hypervolume", "less random search's", "lowest perplexity", "genes that differ"], controls)
    for file in sorted(RUNS.glob(f"transfer-*/{proxy_downstream.FILE}")):
        show(proxy_downstream.HEADINGS, proxy_downstream.rows(json.loads(file.read_text())["models"]))
    if (lines := folder / "mad.jsonl").exists():
        print(mad.table([json.loads(line) for line in lines.read_text().splitlines()]) + "\n")
    for name, key in SMALL.items():
        if key == "cache_bytes" and models_of(f"finalists-{name}"):
            show(*large_table(f"finalists-{name}"))
    for kind in KINDS:
        for names in (list(SMALL), *([name] for name in SMALL)):
            if found := ranks(kind, names):
                value, lower, upper, count = found
                print(f"Spearman, search against {kind}, {', '.join(names)}: {value:.2f} ({lower:.2f} to {upper:.2f}), {count} candidates")


if __name__ == "__main__":
    main()
