"""A search on a terminal: a live view of workers, candidates and front, and lines above it for what stays."""

from __future__ import annotations

import time
from functools import lru_cache

from rich.console import Console
from rich.live import Live
from rich.text import Text

from star_search.analysis.strips import strip_markup
from star_search.cli.console import as_text, console, shown_objectives
from star_search.cli.live_view import FRONT_MOST, Flight, Shown, draw
from star_search.cli.progress import Heard, PlainReporter, QuietReporter, outcome_line, unheard
from star_search.config import SearchConfig
from star_search.evolution.workers import devices, worker_count
from star_search.genome.catalogue import load_catalogue
from star_search.genome.encoding import Genome
from star_search.objectives.assignment import Sign
from star_search.runs.directory import RunDirectory
from star_search.runs.records import CandidateRecord, GenerationRecord, Outcome

REFRESHES_PER_SECOND = 4
LEAST_PROGRESS = 0.1  # in candidates, before the time that is left is predicted


class LiveReporter(QuietReporter):
    """Draws four times a second what workers tell anyway, and takes the view away at the end; failures and generations stay as lines."""

    def __init__(self, config: SearchConfig, run: RunDirectory, also: Heard = unheard, terminal: Console = console) -> None:
        super().__init__(config, run, also)
        self.terminal = terminal
        self._catalogue = load_catalogue(config.space.catalogue)
        self._workers: dict[str, Flight | None] = {str(index): None for index in range(_expected_workers(config))}
        self._strip = lru_cache(maxsize=256)(self._read_strip)
        self._origin: tuple[float, float] | None = None
        self._live = Live(
            console=terminal, get_renderable=self.draw, transient=True, refresh_per_second=REFRESHES_PER_SECOND, vertical_overflow="crop"
        )

    def opened(self) -> None:
        """Name the run and begin to draw."""
        tokens = f"{self.total} candidates of {self.config.training.tokens:,} tokens"
        self._print(f"run [bold]{as_text(str(self.run.path))}[/]: {tokens}")
        self._live.start()

    def close(self) -> None:
        """Stop drawing."""
        self._live.stop()

    def candidate_progressed(self, sign: Sign) -> None:
        """Show the candidate at its worker."""
        number, now = sign.assignment.id, time.monotonic()
        flight = self._workers.get(sign.worker)
        if flight is None or flight.number != number or sign.progress is None:
            self._land(number)
            flight = self._workers[sign.worker] = Flight(number, self._strip(sign.assignment.canonical), now)
        if sign.progress is not None:
            flight.take(sign.progress)
            self._moved(now)

    def candidate_finished(self, record: CandidateRecord) -> None:
        """Free its worker; leave a line if it failed."""
        super().candidate_finished(record)
        self._land(record.id)
        self._moved(time.monotonic())
        if record.outcome != Outcome.ok:
            self._print(outcome_line(self.config, record))

    def generation_finished(self, record: GenerationRecord) -> None:
        """Leave a line about the generation."""
        best = f" · {self.best()}" if self.front else ""
        self._print(f"generation {record.generation}: front of {len(record.front)}{best}")

    def draw(self) -> Text:
        """Return the view as of now."""
        size = self.terminal.size
        return draw(self._shown(time.monotonic()), size.width, size.height)

    def _shown(self, now: float) -> Shown:
        # The thread that draws calls this while the search goes on: what it walks through is copied first.
        workers, front = list(self._workers.items()), list(self.front)
        here = self._done_here()
        done = self.seen - self.trained + here
        return Shown(
            now=now,
            elapsed=now - self.start,
            left=self._left(now, here, self.total - done),
            seen=self.seen,
            total=self.total,
            done=done,
            generation=self.generation,
            generations=self.config.algorithm.generations,
            outcomes=dict(self.outcomes),
            workers=workers,
            names=shown_objectives(self.config.objectives),
            front=front,
            strips={record.id: self._strip(record.canonical) for record in front[:FRONT_MOST]},
        )

    def _done_here(self) -> float:
        """Return how many candidates this session has done, those in training by their share."""
        flights = list(self._workers.values())
        return self.trained + sum(flight.share for flight in flights if flight is not None)

    def _moved(self, now: float) -> None:
        """Remember when there was progress first: what came before it is the start of the workers."""
        self._origin = self._origin or (now, self._done_here())

    def _left(self, now: float, here: float, remaining: float) -> float | None:
        since, then = self._origin or (now, here)
        return None if here - then < LEAST_PROGRESS else (now - since) / (here - then) * remaining

    def _read_strip(self, canonical: str) -> Text:
        return Text.from_markup(strip_markup(Genome.parse(canonical), self._catalogue))

    def _land(self, number: int) -> None:
        for name, flight in self._workers.items():
            if flight is not None and flight.number == number:
                self._workers[name] = None

    def _print(self, line: str) -> None:
        """Print a line above the view, cut where the terminal ends: `inspect` and the end of the search have it whole."""
        self.terminal.print(line, soft_wrap=False, no_wrap=True, overflow="ellipsis", crop=True)


def _expected_workers(config: SearchConfig) -> int:
    """Return how many workers there will be; of those behind a scheduler nothing is known before they speak."""
    if config.workers.scheduler is not None:
        return 0
    return worker_count(config, devices(config.workers.device)) or 1


def build_reporter(
    config: SearchConfig, run: RunDirectory, quiet: bool, also: Heard = unheard, terminal: Console = console
) -> QuietReporter:
    """Return the reporter that fits: quiet when asked, live on a terminal that can move its cursor, plain lines elsewhere."""
    if quiet:
        return QuietReporter(config, run, also)
    if terminal.is_terminal and not terminal.is_dumb_terminal:
        return LiveReporter(config, run, also, terminal)
    return PlainReporter(config, run, also)
