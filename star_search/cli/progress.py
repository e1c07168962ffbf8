"""Progress of a search: plain lines, or nothing when quiet."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Self

from star_search.analysis.fronts import front_so_far
from star_search.cli.console import as_text, console, format_seconds, format_value, shown_objectives
from star_search.config import SearchConfig
from star_search.objectives.assignment import Sign
from star_search.objectives.registry import Criteria
from star_search.runs.directory import RunDirectory
from star_search.runs.records import CandidateRecord, GenerationRecord, Outcome

Heard = Callable[[CandidateRecord], None]


def unheard(record: CandidateRecord) -> None:
    """Do nothing about a candidate's outcome."""


class QuietReporter:
    """Keeps count and prints nothing; `also` hears of every outcome."""

    def __init__(self, config: SearchConfig, run: RunDirectory, also: Heard = unheard) -> None:
        self.config, self.run, self._also = config, run, also
        self.total = config.algorithm.candidates
        self.start = time.monotonic()
        self.generation = self.trained = 0
        self._criteria = Criteria.from_config(config)
        recorded = run.read_candidates()[0]
        self.outcomes = Counter(record.outcome for record in recorded)
        self.front = front_so_far(recorded, self._criteria)

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

    def candidate_progressed(self, sign: Sign) -> None:
        """Nothing."""

    def candidate_finished(self, record: CandidateRecord) -> None:
        """Count it, and keep it where it belongs to the front."""
        self._also(record)
        self.trained += 1
        self.outcomes[record.outcome] += 1
        self.front = front_so_far([*self.front, record], self._criteria)

    def generation_finished(self, record: GenerationRecord) -> None:
        """Nothing."""

    @property
    def seen(self) -> int:
        """How many candidates have their outcome."""
        return self.outcomes.total()

    def best(self) -> str:
        """Return the least of the first objective so far, empty while there is none."""
        name = self.config.objectives[0]
        return f"best {as_text(name)} {format_value(name, self.front[0].objectives[name])}" if self.front else ""

    def headline(self) -> str:
        """Return how far the search is."""
        parts = [f"generation {self.generation} of {self.config.algorithm.generations}", f"candidate {self.seen} of {self.total}"]
        if self.front:
            parts.append(self.best())
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
        console.print(f"  [{self.seen}/{self.total}] ".replace("[", r"\[") + f"{outcome_line(self.config, record)}  {seconds:.1f} s")

    def generation_finished(self, record: GenerationRecord) -> None:
        """Print the headline."""
        console.print(f"{self.headline()} · front of {len(record.front)}")


def outcome_line(config: SearchConfig, record: CandidateRecord) -> str:
    """Return what became of a candidate, with rich markup."""
    if record.outcome != Outcome.ok:
        return f"candidate {record.id}  [red]{record.outcome.value}[/]: {as_text(record.reason)}"
    values = (f"{as_text(name)} {format_value(name, record.objectives.get(name))}" for name in shown_objectives(config.objectives))
    return f"candidate {record.id}  ok  " + "  ".join(values)
