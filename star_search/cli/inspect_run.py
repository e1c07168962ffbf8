"""What `inspect` prints of a run: tables of candidates, progress, account and outcomes."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

from rich.table import Table

from star_search.analysis.plain_text import printable
from star_search.analysis.run_view import RunView
from star_search.cli.console import (
    as_text,
    candidate_table,
    console,
    format_seconds,
    format_value,
    print_failures,
    print_legend,
    shown_objectives,
)
from star_search.runs.records import CandidateRecord, Outcome, spent_tokens

REASONS_SHOWN = 3


def print_run(view: RunView, sections: Mapping[str, Sequence[CandidateRecord]]) -> None:
    """Print the run with one table of candidates for every section."""
    last = view.config.algorithm.generations
    shown = "before the first generation" if view.generation is None else f"generation {view.generation} of {last}"
    console.print(f"run {printable(str(view.run.path))}, {shown}, {len(view.records)} candidates\n", markup=False)
    for title, records in sections.items():
        console.print(candidate_table(title, records, view.names, view.catalogue, console.width))
        console.print()
    print_legend()
    console.print()
    best = f"best {as_text(view.names[0])} so far, median of the generation"
    rates = "genes repaired, genomes invalid before repair, mean Hamming distance"
    _print_table(f"Progress: {best}; {rates}", _progress_table(view))
    _print_table("\nAccount: what each generation spent, and what came of its candidates", _account_table(view))
    _print_table("\nOutcomes", _outcome_table(view.records))
    print_failures(view.records)


def csv_text(view: RunView, records: Sequence[CandidateRecord]) -> str:
    """Return the candidates as CSV, one a line, numbers as recorded; text as `printable` gives it."""
    objectives = shown_objectives(view.names)
    front, buffer = {record.id for record in view.front}, io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["id", "generation", "outcome", "in_front", *objectives, "tokens", "genome", "canonical", "reason"])
    for each in records:
        values = [each.objectives.get(name, "") for name in objectives]
        texts = [printable(text) for text in (each.genome, each.canonical, each.reason)]
        writer.writerow([each.id, each.generation, each.outcome.value, int(each.id in front), *values, spent_tokens(each), *texts])
    return buffer.getvalue()


def _print_table(title: str, table: Table) -> None:
    """Print a table below its title, which may be wider."""
    console.print(f"[bold]{title}[/]")
    console.print(table)


def _table(headings: Sequence[str], left: Sequence[str] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in headings:
        table.add_column(heading, justify="left" if heading in left else "right")
    return table


def _progress_table(view: RunView) -> Table:
    name = view.names[0]
    table = _table(("gen", "ok", "best", "median", "front", "hypervolume", "repaired", "invalid", "distance"))
    for entry, generation in zip(view.progress, view.generations, strict=True):
        rates = generation.rates
        table.add_row(
            str(entry.generation),
            f"{entry.ok}/{entry.candidates}",
            format_value(name, entry.best),
            format_value(name, entry.median),
            str(entry.front),
            f"{entry.hypervolume:.4f}",
            f"{rates['repair_rate']:.1%}",
            f"{rates['invalid_before_repair_rate']:.0%}",
            f"{rates['mean_hamming_distance']:.1f}",
        )
    return table


def _account_table(view: RunView) -> Table:
    table = _table(("gen", "tokens", "time", "avoided", "distinct", "outcomes"), left=("outcomes",))
    for each in view.generations:
        spent = (f"{spent_tokens(each):,}", format_seconds(each.measured["seconds"]) if "seconds" in each.measured else "-")
        counts = (f"{each.rates['duplicates_avoided']:.0f}", f"{each.rates['distinct_architectures']:.0f}")
        table.add_row(str(each.generation), *spent, *counts, ", ".join(f"{count} {name}" for name, count in each.outcomes.items()))
    return table


def _outcome_table(records: Sequence[CandidateRecord]) -> Table:
    table = _table(("outcome", "candidates", "share", "tokens", "ids"), left=("outcome", "ids"))
    for outcome in Outcome:
        found = [record for record in records if record.outcome == outcome]
        if found:
            shown = ", ".join(str(record.id) for record in found[:REASONS_SHOWN])
            rest = f" and {len(found) - REASONS_SHOWN:,} more" if len(found) > REASONS_SHOWN else ""
            tokens = sum(map(spent_tokens, found))
            table.add_row(outcome.value, f"{len(found):,}", f"{len(found) / len(records):.0%}", f"{tokens:,}", shown + rest)
    return table
