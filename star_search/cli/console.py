"""The terminal: consoles, numbers as people read them, tables of candidates."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.columns import Columns
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from star_search.analysis.plain_text import printable
from star_search.analysis.strips import legend_markup, strip_markup
from star_search.genome.catalogue import Catalogue
from star_search.genome.encoding import Genome
from star_search.runs.records import CandidateRecord, Outcome

if TYPE_CHECKING:
    from star_search.analysis.run_view import RunView


def _console(stderr: bool = False) -> Console:
    """Return a console that breaks lines between words where a terminal ends; a pipe gets them whole."""
    made = Console(stderr=stderr, highlight=False)
    made.soft_wrap = not made.is_terminal
    return made


console, errors = _console(), _console(stderr=True)


def as_text(text: str) -> str:
    """Return text that came from outside so that rich and the terminal show it and obey nothing in it."""
    return escape(printable(text))


def print_damaged(view: RunView) -> None:
    """Say on standard error, a line each, which records of a run cannot be read."""
    for sentence in view.damaged:
        print_aside(sentence)


def print_aside(sentence: str) -> None:
    """Say something on standard error, where standard output is for what was asked."""
    errors.print(f"star-search: {printable(sentence)}", markup=False)


def exit_if_damaged(view: RunView) -> None:
    """End with exit code 2, after all that can be shown was, where records of a run cannot be used."""
    if view.damaged:
        raise typer.Exit(2)


def print_whole(text: str) -> None:
    """Print genomes and commands, which people copy: where the terminal is too narrow it wraps them itself, so that they stay one line."""
    console.print(text, markup=False, soft_wrap=True)


def print_written(path: Path, aside: bool = False) -> None:
    """Say which file was written, on standard error where standard output is for data."""
    (errors if aside else console).print(f"wrote {printable(str(path))}", markup=False)


def print_legend() -> None:
    """Print what the letters of strips mean, as many a line as there is room for."""
    console.print("  ".join(legend_markup()) if console.soft_wrap else Columns(legend_markup(), padding=(0, 2)))


def print_json(value: Any) -> None:
    """Print one JSON document."""
    print(json.dumps(value, indent=1))


def format_bytes(count: float) -> str:
    """Return bytes with a decimal unit, exact below 10 kB."""
    if count < 10_000:
        return f"{count:,.0f} B"
    unit, size = ("kB", 1e3) if count < 1e6 else ("MB", 1e6) if count < 1e9 else ("GB", 1e9)
    return f"{count / size:,.1f} {unit}"


def format_value(name: str, value: float | None) -> str:
    """Return an objective's value in its unit; a dash where there is none."""
    if value is None:
        return "-"
    kind = name.partition("@")[0]
    if kind in ("cache_bytes", "peak_bytes"):
        return format_bytes(value)
    if kind in ("time_to_first_token", "decode_seconds"):
        return f"{1e3 * value:,.3g} ms"
    return f"{value:,.0f}" if name == "parameters" else f"{value:,.3f}"


def format_seconds(seconds: float) -> str:
    """Return a duration, for example `1 h 02 m` or `45 s`."""
    if seconds >= 3600:
        return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:02.0f} m"
    return f"{seconds // 60:.0f} m {seconds % 60:02.0f} s" if seconds >= 60 else f"{seconds:.0f} s"


def shown_objectives(names: Sequence[str]) -> list[str]:
    """Return the objectives, then the sizes that are always known."""
    return [*names, *(name for name in ("perplexity", "parameters", "cache_bytes") if name not in names)]


def candidate_table(title: str, records: Sequence[CandidateRecord], names: Sequence[str], catalogue: Catalogue, width: int) -> Table:
    """Return a table of candidates: id, generation, objectives or the outcome, strip, and the genome where the terminal has room."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    objectives = shown_objectives(names)
    for heading in ("id", "gen", *objectives):
        table.add_column(as_text(heading), justify="right", no_wrap=True)
    table.add_column("LIVs", overflow="fold")
    longest = max((len(record.canonical) for record in records), default=0)
    with_genome = width >= 14 + 14 * len(objectives) + longest * 7 // 6
    if with_genome:
        table.add_column("canonical genome", no_wrap=True)
    for record in records:
        cells = [str(record.id), str(record.generation), *(_objective_cell(record, name) for name in objectives)]
        cells.append(strip_markup(Genome.parse(record.canonical), catalogue))
        table.add_row(*cells, *([record.canonical] if with_genome else []))
    return table


def _objective_cell(record: CandidateRecord, name: str) -> str:
    if name not in record.objectives and record.outcome != Outcome.ok:
        return f"[red]{record.outcome.value}[/]"
    return format_value(name, record.objectives.get(name))


def print_failures(records: Iterable[CandidateRecord]) -> None:
    """Print each candidate that is not `ok` with its reason: a line, which on a terminal goes on below where the reason began."""
    failed = (each for each in records if each.outcome != Outcome.ok)
    rows = [(f"  candidate {each.id}", f"[red]{each.outcome.value}[/]", as_text(each.reason)) for each in failed]
    if console.soft_wrap:
        for row in rows:
            console.print("  ".join(row))
    elif rows:
        table = Table.grid(padding=(0, 2, 0, 0))
        for row in rows:
            table.add_row(*row)
        console.print(table)
