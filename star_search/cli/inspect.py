"""`star-search inspect`: look at a run or one of its generations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from star_search.analysis.run_view import RunView


def inspect(
    path: Annotated[Path | None, typer.Argument(help="A run, a generation folder, or runs/genNN; the newest run by default.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write figures as PNG into this folder.")] = None,
    objectives: Annotated[
        str | None, typer.Option(help="Look at the run under other objectives, without training: for example parameters,cache_bytes@8192.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show a run: its front, its population, and how it went over the generations."""
    from star_search.analysis.run_view import RunView
    from star_search.cli.console import console, errors, print_json
    from star_search.runs.locate import locate, newest_run

    run, generation = (newest_run(Path("runs")), None) if path is None else locate(path)
    view = RunView.read(run, generation)
    if objectives is not None:
        from star_search.objectives.reassessment import reassess

        view = reassess(view, [name.strip() for name in objectives.split(",")])
    for sentence in view.damaged:
        errors.print(f"star-search: {sentence}", markup=False)
    if json_:
        print_json(as_json(view))
    else:
        _print_tables(view)
    if plot is not None:
        from star_search.analysis.figures import write_figures

        for figure in write_figures(view, plot):
            (errors if json_ else console).print(f"wrote {figure}", markup=False)
    if view.damaged:
        raise typer.Exit(2)


def as_json(view: RunView) -> dict[str, Any]:
    """Return what `--json` prints: no times and no paths, so that equal searches print equal JSON apart from `run`."""
    fields = ("id", "generation", "genome", "canonical", "outcome", "reason", "objectives")
    return {
        "run": view.run.name,
        "generation": view.generation,
        "candidates": [{name: getattr(record, name) for name in fields} for record in view.records],
        "front": sorted(record.id for record in view.front),
        "hypervolume": [entry.hypervolume for entry in view.progress],
    }


def _print_tables(view: RunView) -> None:
    from star_search.analysis.strips import legend_markup
    from star_search.cli.console import candidate_table, console, failure_lines

    last = view.config.algorithm.generations
    shown = "before the first generation" if view.generation is None else f"generation {view.generation} of {last}"
    console.print(f"run {view.run.path}, {shown}, {len(view.records)} candidates\n", markup=False)
    for title, records in (("Front", view.front), ("Population", view.population)):
        console.print(candidate_table(title, records, view.names, view.catalogue, console.width))
        console.print()
    console.print(legend_markup() + "\n")
    _print_progress(view)
    _print_account(view)
    for line in failure_lines(view.records):
        console.print(line)


def _print_progress(view: RunView) -> None:
    from rich.table import Table

    from star_search.cli.console import console, format_value

    name = view.names[0]
    title = f"Progress: best {name} so far, median of the generation; genes repaired, genomes invalid before repair, mean Hamming distance"
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    headings = ("gen", "ok", "best", "median", "front", "hypervolume", "repaired", "invalid", "distance")
    for heading in headings:
        table.add_column(heading, justify="right")
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
    console.print(table)


def _print_account(view: RunView) -> None:
    from rich.table import Table

    from star_search.cli.console import console, format_seconds

    table = Table(title="\nAccount: what each generation spent, and what came of its candidates", title_justify="left", title_style="bold")
    table.box, table.pad_edge, table.header_style = None, False, "dim"
    for heading in ("gen", "tokens", "time", "avoided", "distinct", "outcomes"):
        table.add_column(heading, justify="left" if heading == "outcomes" else "right")
    for each in view.generations:
        spent = (f"{each.tokens:,}", format_seconds(each.measured["seconds"]) if "seconds" in each.measured else "-")
        counts = (f"{each.rates['duplicates_avoided']:.0f}", f"{each.rates['distinct_architectures']:.0f}")
        table.add_row(str(each.generation), *spent, *counts, ", ".join(f"{count} {name}" for name, count in each.outcomes.items()))
    console.print(table)
