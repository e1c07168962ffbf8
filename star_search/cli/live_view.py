"""What the live view of a search shows: lines that fit the terminal, as many of them whatever happens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.text import Text

from star_search.analysis.plain_text import printable
from star_search.analysis.strips import sparkline
from star_search.cli.console import format_seconds, format_value
from star_search.runs.records import CandidateRecord, Outcome
from star_search.training.progress import Progress

FRONT_MOST, FRONT_LEAST = 8, 3
CURVE_POINTS = 128
_HEAD_LINES = _SECTION_LINES = 2  # of a section: its title and its headings
_SPARE_LINES = 2  # one above for what is printed, one below for what is typed

Cell = tuple[str | Text, int, bool]  # what it holds, its width, whether it stands to the right


@dataclass
class Flight:
    """A candidate at a worker: the strip of its genome, since when, its progress, and its losses by how far the training was."""

    number: int
    strip: Text
    since: float
    progress: Progress | None = None
    losses: dict[int, float] = field(default_factory=dict)

    def take(self, progress: Progress) -> None:
        """Take in how far the training is; of what is too near for the curve the last is kept."""
        self.progress = progress
        self.losses[progress.step * CURVE_POINTS // progress.steps] = progress.loss

    @property
    def share(self) -> float:
        """The share of the training that is done."""
        return 0.0 if self.progress is None else self.progress.step / self.progress.steps


@dataclass(frozen=True)
class Shown:
    """A moment of a search: seconds, counts, who is at what, and the front with its members' strips by id; `left` is unknown at first."""

    now: float
    elapsed: float
    left: float | None
    seen: int
    total: int
    done: float
    generation: int
    generations: int
    outcomes: Mapping[Outcome, int]
    workers: Sequence[tuple[str, Flight | None]]
    names: Sequence[str]
    front: Sequence[CandidateRecord]
    strips: Mapping[int, Text]


def draw(shown: Shown, width: int, height: int) -> Text:
    """Return the view of a terminal of `width` columns and `height` lines: its lines are never wider, nor more than fit.

    How many lines there are depends on the terminal and the number of workers alone, so that nothing below or above moves.
    """
    workers, members = _share_out(len(shown.workers), height)
    lines = _head(shown, width)
    if workers:
        lines += _workers(shown, workers, width)
    if members:
        lines += _front(shown, members, width)
    for line in lines:
        line.truncate(width - 1, overflow="ellipsis")
    return Text("\n", no_wrap=True).join([*lines, Text()][: max(1, height - 1)])


def _share_out(count: int, height: int) -> tuple[int, int]:
    """Return how many workers and how many members of the front there is room for: workers first, but for a few of the front."""
    room = height - _SPARE_LINES - _HEAD_LINES
    if room <= _SECTION_LINES:
        return 0, 0
    workers = min(count, max(1, room - 2 * _SECTION_LINES - FRONT_LEAST))
    return workers, max(0, min(FRONT_MOST, room - 2 * _SECTION_LINES - workers))


def _head(shown: Shown, width: int) -> list[Text]:
    words = f" {shown.seen} of {shown.total} candidates · generation {shown.generation} of {shown.generations}"
    length = max(0, min(60, width - 1 - len(words)))
    filled = round(length * min(1.0, shown.done / shown.total))
    bar = Text.assemble(("━" * filled, "green"), ("─" * (length - filled), "dim"), words)
    left = "" if shown.left is None else f", about {format_seconds(shown.left)} left"
    account = Text(f"{format_seconds(shown.elapsed)} elapsed{left}")
    for outcome in Outcome:
        if outcome in shown.outcomes:
            account.append(" · ").append(f"{shown.outcomes[outcome]} {outcome.value}", style="" if outcome == Outcome.ok else "red")
    return [bar, account]


def _workers(shown: Shown, count: int, width: int) -> list[Text]:
    rows = list(shown.workers)
    if count < len(rows):
        rows = sorted(rows, key=lambda row: row[1] is None)[:count]
    names = min(max([6, *(len(printable(name)) for name, _ in rows)]), width // 6)
    strips = max([4, *(flight.strip.cell_len for _, flight in rows if flight is not None)])
    strips = min(strips, width // 4)
    curve = max(0, width - 1 - (names + 9 + strips + 5 + 9 + 6 + 2 * 6))
    part = "" if count == len(shown.workers) else f" ({count} of {len(shown.workers)} shown)"
    headings: list[Cell] = [("worker", names, True), ("candidate", 9, True), ("LIVs", strips, False), ("done", 5, True)]
    headings += [("tokens/s", 9, True), ("loss", 6, True), ("over the training", curve, False)]
    lines = [Text(f"Workers{part}", style="bold"), _row(headings, "dim")]
    return lines + [_worker_row(name, flight, shown.now, names, strips, curve) for name, flight in rows]


def _worker_row(name: str, flight: Flight | None, now: float, names: int, strips: int, curve: int) -> Text:
    cells: list[Cell] = [(printable(name), names, True)]
    if flight is None:
        return _row([*cells, ("waits", 9, True)], "dim")
    cells += [(str(flight.number), 9, True), (flight.strip, strips, False)]
    progress = flight.progress
    if progress is None:
        return _row([*cells, (f"at work for {format_seconds(now - flight.since)}", 22 + 2 + curve, False)])
    cells += [(f"{flight.share:.0%}", 5, True), (f"{progress.tokens_per_second:,.0f}", 9, True), (f"{progress.loss:.3f}", 6, True)]
    return _row([*cells, (_curve(flight, curve), curve, False)])


def _curve(flight: Flight, width: int) -> Text:
    """Return the losses as far as the training is, and dots for the rest of it."""
    losses, filled = list(flight.losses.values()), round(width * flight.share)
    drawn = sparkline([losses[place * len(losses) // filled] for place in range(filled)], filled)
    return Text.assemble((drawn, "cyan"), ("·" * (width - filled), "dim"))


def _front(shown: Shown, count: int, width: int) -> list[Text]:
    members = shown.front[:count]
    strips = min(max([4, *(strip.cell_len for strip in shown.strips.values())]), width // 4)
    room, names = width - 1 - (9 + 2 + 3 + 2 + strips), []
    for name in shown.names:
        column = max(len(printable(name)), 10) + 2
        if column > room:
            break
        room -= column
        names.append((name, column - 2))
    genomes = max((len(record.canonical) for record in members), default=0)
    genomes = genomes if genomes + 2 <= room else 0
    part = f", the {count} best by {printable(shown.names[0])}" if count < len(shown.front) else ""
    headings: list[Cell] = [("candidate", 9, True), ("gen", 3, True), *((printable(name), column, True) for name, column in names)]
    headings += [("LIVs", strips, False), *([("canonical genome", genomes, False)] if genomes else [])]
    lines = [Text(f"Front so far: {len(shown.front)}{part}", style="bold"), _row(headings, "dim")]
    for record in members:
        cells: list[Cell] = [(str(record.id), 9, True), (str(record.generation), 3, True)]
        cells += [(format_value(name, record.objectives.get(name)), column, True) for name, column in names]
        cells += [(shown.strips[record.id], strips, False), *([(record.canonical, genomes, False)] if genomes else [])]
        lines.append(_row(cells, "bold" if record.generation == shown.generation else ""))
    return lines + [Text()] * (count - len(members))


def _row(cells: Sequence[Cell], style: str = "") -> Text:
    line = Text(style=style)
    for content, width, right in cells:
        text = content.copy() if isinstance(content, Text) else Text(content)
        text.truncate(width, overflow="ellipsis")
        text.align("right" if right else "left", width)
        line.append("  " if line else "").append_text(text)
    return line
