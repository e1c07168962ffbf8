"""Progress of a search: live on a terminal, plain lines elsewhere, nothing when quiet."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bars

from star_search.cli.console import as_text, console, format_seconds, format_value, shown_objectives
from star_search.config import SearchConfig
from star_search.runs.directory import RunDirectory
from star_search.runs.records import CandidateRecord, GenerationRecord, Outcome

if TYPE_CHECKING:
    from star_search.training.progress import Progress


class QuietReporter:
    """Keeps count and prints nothing."""

    def __init__(self, config: SearchConfig, run: RunDirectory) -> None:
        self.config, self.run = config, run
        self.total = config.algorithm.candidates
        self.start = time.monotonic()
        self.generation = self.trained = 0
        self.best: CandidateRecord | None = None
        recorded = run.read_candidates()[0]
        self.seen = len(recorded)
        for record in recorded:
            self._consider(record)

    def __enter__(self) -> Self:
        self.opened()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def opened(self) -> None:
        """Before the first generation."""

    def close(self) -> None:
        """After the last."""

    def generation_started(self, generation: int) -> None:
        """Remember which it is."""
        self.generation = generation

    def candidate_progressed(self, number: int, progress: Progress) -> None:
        """Nothing."""

    def candidate_finished(self, record: CandidateRecord) -> None:
        """Count it, and keep the best of the first objective."""
        self.seen, self.trained = self.seen + 1, self.trained + 1
        self._consider(record)

    def _consider(self, record: CandidateRecord) -> None:
        name = self.config.objectives[0]
        if record.outcome != Outcome.ok or name not in record.objectives:
            return
        if self.best is None or record.objectives[name] < self.best.objectives[name]:
            self.best = record

    def generation_finished(self, record: GenerationRecord) -> None:
        """Nothing."""

    def headline(self) -> str:
        """Return how far the search is."""
        parts = [f"generation {self.generation} of {self.config.algorithm.generations}", f"candidate {self.seen} of {self.total}"]
        name = self.config.objectives[0]
        if self.best is not None:
            parts.append(f"best {name} {format_value(name, self.best.objectives[name])}")
        if self.trained:
            left = (time.monotonic() - self.start) / self.trained * (self.total - self.seen)
            parts.append(f"about {format_seconds(left)} left")
        return " · ".join(parts)


class PlainReporter(QuietReporter):
    """One line per candidate and per generation."""

    def opened(self) -> None:
        """Name the run."""
        console.print(f"run {as_text(str(self.run.path))}: {self.total} candidates of {self.config.training.tokens:,} tokens")

    def candidate_finished(self, record: CandidateRecord) -> None:
        """Print the outcome."""
        super().candidate_finished(record)
        seconds = record.measured.get("seconds", 0.0)
        console.print(f"  [{self.seen}/{self.total}] ".replace("[", r"\[") + f"{_outcome_line(self.config, record)}  {seconds:.1f} s")

    def generation_finished(self, record: GenerationRecord) -> None:
        """Print the headline."""
        console.print(f"{self.headline()} · front of {len(record.front)}")


class LiveReporter(QuietReporter):
    """Bars for the search and for each candidate in training; failures stay on the screen as lines."""

    def __init__(self, config: SearchConfig, run: RunDirectory) -> None:
        super().__init__(config, run)
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.fields[text]}"))
        self.bars = Bars(*columns, console=console, transient=True)
        self.whole = self.bars.add_task("search", total=self.total, text="starting workers")
        self.tasks: dict[int, TaskID] = {}

    def opened(self) -> None:
        """Name the run and begin to draw."""
        console.print(f"run [bold]{as_text(str(self.run.path))}[/]: {self.total} candidates of {self.config.training.tokens:,} tokens")
        self.bars.start()

    def close(self) -> None:
        """Stop drawing."""
        self.bars.stop()

    def candidate_progressed(self, number: int, progress: Progress) -> None:
        """Move the candidate's bar."""
        if number not in self.tasks:
            self.tasks[number] = self.bars.add_task(f"  candidate {number}", total=progress.steps, text="")
            self.bars.update(self.whole, completed=self.seen, text=self.headline())
        text = f"loss {progress.loss:.3f} · {progress.tokens_per_second:,.0f} tokens/s"
        self.bars.update(self.tasks[number], completed=progress.step, text=text)

    def candidate_finished(self, record: CandidateRecord) -> None:
        """Take the candidate's bar away; leave a line if it failed."""
        super().candidate_finished(record)
        if record.id in self.tasks:
            self.bars.remove_task(self.tasks.pop(record.id))
        if record.outcome != Outcome.ok:
            console.print(_outcome_line(self.config, record))
        self.bars.update(self.whole, completed=self.seen, text=self.headline())

    def generation_finished(self, record: GenerationRecord) -> None:
        """Leave a line about the generation."""
        name = self.config.objectives[0]
        best = "" if self.best is None else f" · best {name} {format_value(name, self.best.objectives[name])}"
        console.print(f"generation {record.generation}: front of {len(record.front)}{best}")
        self.bars.update(self.whole, completed=self.seen, text=self.headline())


def _outcome_line(config: SearchConfig, record: CandidateRecord) -> str:
    if record.outcome != Outcome.ok:
        return f"candidate {record.id}  [red]{record.outcome.value}[/]: {as_text(record.reason)}"
    values = (f"{name} {format_value(name, record.objectives.get(name))}" for name in shown_objectives(config.objectives))
    return f"candidate {record.id}  ok  " + "  ".join(values)


def build_reporter(config: SearchConfig, run: RunDirectory, quiet: bool, terminal: Console = console) -> QuietReporter:
    """Return the reporter that fits: quiet when asked, live on a terminal, plain lines elsewhere."""
    if quiet:
        return QuietReporter(config, run)
    return LiveReporter(config, run) if terminal.is_terminal else PlainReporter(config, run)
