"""`star-search compare RUN`: finalists against baselines, trained under one budget over several seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from star_search.analysis.plain_text import printable
from star_search.analysis.run_view import RunView
from star_search.cli.console import console, errors, print_json
from star_search.cli.preparing import preparation_bar
from star_search.cli.session import INTERRUPTED, RUNS
from star_search.data.tokenizer import load_tokenizer
from star_search.errors import InputError
from star_search.finalists.source import Source, Wish, find_source
from star_search.finalists.tuning import read_rates
from star_search.genome.baselines import split_names
from star_search.genome.matching import read_match
from star_search.runs.atomic import write_json, write_text
from star_search.runs.locate import locate

if TYPE_CHECKING:
    from star_search.config import SearchConfig
    from star_search.finalists.comparison import Comparison, MADResults, Result, Results, Summary
    from star_search.finalists.pool import Done, Event, Task

    # Does tasks, tells what happens, and yields what is done.
    Doing = Callable[[Comparison, Sequence[Task], Callable[[Event], None]], Iterator[Done]]

LENGTHS = "512,4096,32768"
FINALISTS = 8  # As many as the paper trained longer.


@dataclass(frozen=True)
class ModelsAsked:
    """Which models are to be compared, as the command line says it."""

    run: Path
    config: str | None
    overrides: tuple[str, ...]
    tokens: int | None
    candidates: str | None
    finalists: int | None
    baselines: str | None
    match: str | None
    learning_rates: str | None
    lengths: str | None
    mad: str | None
    workers: str | None

    def sources(self) -> list[Source]:
        """Return the finalists, best first, then the baselines at their size.

        Raises:
            InputError: for a candidate, baseline or word that is not there.
        """
        from star_search.finalists.comparison import beside

        given = {"training.tokens": self.tokens, "workers.count": self.workers}
        overrides = (*self.overrides, *(f"{key}={value}" for key, value in given.items() if value is not None), *self._mad_tasks())
        found = [find_source(str(self.run), Wish(self.config, overrides, number)) for number in self._ids()]
        match, names = None if self.match is None else read_match(self.match), split_names(self.baselines or "")
        vocabulary = load_tokenizer(found[0].config.data.tokenizer).vocabulary_size
        return [*found, *beside(found[0], names, match, vocabulary)]

    def cache_lengths(self) -> list[int]:
        """Return the lengths at which caches are counted."""
        return _numbers(self.lengths or LENGTHS, "--lengths", lowest=1)

    def rates(self) -> list[float]:
        """Return the grid of learning rates, lowest first; empty where every model keeps the configuration's."""
        if self.learning_rates is None:
            return []
        if any(change.partition("=")[0].strip() == "training.learning_rate" for change in self.overrides):
            raise InputError("--learning-rates chooses among its own, so --set training.learning_rate says nothing; leave it out")
        return read_rates(self.learning_rates)

    def _mad_tasks(self) -> list[str]:
        from star_search.finalists.mad import read_tasks

        return [] if self.mad is None else [f"mad.tasks=[{', '.join(read_tasks(self.mad))}]"]

    def _ids(self) -> list[int]:
        if self.candidates is not None:
            if self.finalists is not None:
                raise InputError("--candidates names the finalists, so --finalists has nothing to choose; leave it out")
            return _numbers(self.candidates, "--candidates", lowest=0)
        front = RunView.read(*locate(self.run)).front
        if not front:
            raise InputError(f"{self.run} has no front yet, so it has no finalists; --candidates names some")
        return [record.id for record in front[: self.finalists or FINALISTS]]


def compare_models(asked: ModelsAsked, seeds: int, out: Path | None, device: str, as_json: bool) -> None:
    """Train, measure, print and write the comparison."""
    from star_search.data.store import prepare
    from star_search.evolution.workers import devices
    from star_search.finalists import comparison as module
    from star_search.finalists import table

    rates, sources, lengths = asked.rates(), asked.sources(), asked.cache_lengths()
    folder = out or RUNS / f"finalists-{locate(asked.run)[0].path.resolve().name}"
    available = devices(device, "--device")
    comparison = module.Comparison(sources, seeds, folder, available[0], lengths, asked.mad is not None, rates)
    comparison.check()
    with preparation_bar(as_json) as report:
        comparison.check_text(prepare(sources[0].config.data, report=report).fingerprint)
    try:
        with _workers(sources[0].config, available, asked.workers) as doing:
            if rates:
                _tune(comparison, doing)
            results = _trained(comparison, doing)
            mad_results = _scored_by_mad(comparison, doing) if comparison.with_mad else {}
    except KeyboardInterrupt:
        errors.print(f"interrupted; finished trainings in {folder} are kept, and the same command goes on", markup=False)
        raise typer.Exit(INTERRUPTED) from None
    summaries = comparison.summarise(results, mad_results)
    name = comparison.devices(results)
    found = table.as_json(summaries, comparison, asked.match, name)
    write_json(folder / "comparison.json", found)
    write_text(folder / "comparison.md", table.markdown(summaries, comparison, name))
    print_json(found) if as_json else _print(summaries, comparison, folder)


@contextmanager
def _workers(config: SearchConfig, available: list[str], asked: str | None) -> Iterator[Doing]:
    """Give what does the trainings: worker processes where they are asked for, this process otherwise."""
    from star_search.evolution.workers import worker_count
    from star_search.finalists.pool import Pool, in_turn

    count = 0 if asked is None else worker_count(config, available)
    if not count:
        yield in_turn
        return
    pool = Pool(count, config, available)
    try:
        yield pool.side_by_side
    finally:
        pool.close()


def _tune(comparison: Comparison, doing: Doing) -> None:
    """Train every model at every rate of the grid, and give it its best."""
    from star_search.finalists.pool import Task

    results: dict[str, dict[float, Result]] = {source.label: {} for source in comparison.sources}
    tasks = [Task("train", source, seed) for source, seed in comparison.grid()]
    for done in _each(comparison, "learning rates", tasks, doing):
        results[done.task.source.label][done.task.source.config.training.learning_rate] = done.result
    comparison.tune(results)


def _trained(comparison: Comparison, doing: Doing) -> Results:
    """Return results by label and seed."""
    from star_search.finalists.pool import Task

    return _by_seed(comparison, "trainings", [Task("train", source, seed) for source, seed in comparison.trainings()], doing)


def _scored_by_mad(comparison: Comparison, doing: Doing) -> MADResults:
    """Return accuracies by label and seed."""
    from star_search.finalists.pool import Task

    return _by_seed(comparison, "MAD tasks", [Task("mad", source, seed) for source, seed in comparison.trainings()], doing)


def _by_seed(comparison: Comparison, what: str, tasks: list[Task], doing: Doing) -> dict[str, list[Any]]:
    """Return what tasks came to by label, seed by seed."""
    found = {(done.task.source.label, done.task.seed): done.result for done in _each(comparison, what, tasks, doing)}
    return {source.label: [found[source.label, seed] for seed in range(comparison.seeds)] for source in comparison.sources}


def _each(comparison: Comparison, what: str, tasks: list[Task], doing: Doing) -> Iterator[Done]:
    """Yield what is done, showing on a terminal what is at work."""
    from rich.progress import Progress as Bars

    from star_search.finalists.pool import Began, Moved

    with Bars(console=errors, transient=True, disable=not errors.is_terminal) as bars:
        whole, shown = bars.add_task(what, total=len(tasks)), dict[str, Any]()

        def show(event: Event) -> None:
            label = event.task.label
            if isinstance(event, Began):
                shown[label] = bars.add_task(f"  {label}", total=event.task.source.config.training.steps)
            elif isinstance(event, Moved):
                bars.update(shown[label], completed=event.step)
            else:
                bars.remove_task(shown.pop(label))
                bars.advance(whole)

        yield from doing(comparison, tasks, show)


def _print(summaries: list[Summary], comparison: Comparison, folder: Path) -> None:
    from rich.table import Table

    from star_search.finalists.table import method, tables

    training = comparison.sources[0].config.training
    console.print(f"{training.steps * training.batch_tokens:,} training tokens, {comparison.seeds} seeds\n", style="bold")
    for headings, *rows in tables(summaries, comparison):
        table = Table(box=None, pad_edge=False, header_style="dim")
        for index, heading in enumerate(headings):
            table.add_column(heading, justify="right" if index else "left", overflow="fold", no_wrap=not index)
        for row in rows:
            table.add_row(*row)
        console.print(table)
        console.print()
    for summary in summaries:
        for reason in summary.failures:
            console.print(f"  {printable(reason)}", markup=False)
    console.print(f"{method(comparison)}\nwrote {printable(str(folder / 'comparison.json'))} and comparison.md", markup=False)


def _numbers(text: str, option: str, lowest: int) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and int(part) >= lowest for part in parts):
        raise InputError(f"{option} must be whole numbers from {lowest}, joined by commas, got {text}")
    return list(dict.fromkeys(map(int, parts)))
