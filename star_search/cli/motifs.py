"""`star-search motifs`: what the front, or the last population, holds more often than chance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from star_search.analysis.enrichment import MotifStatistics
    from star_search.analysis.run_view import RunView

ROWS_SHOWN = 25


def motifs(
    run: Annotated[Path | None, typer.Argument(help="A run, a generation folder, or runs/genNN; the newest run by default.")] = None,
    permutations: Annotated[int, typer.Option(min=99, max=10_000_000, help="Relabellings of the permutation test.")] = 20_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the relabellings.")] = 0,
    everything: Annotated[bool, typer.Option("--all", help="Print every motif, not the 25 least likely under chance.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Test which classes, pairs, kinds of sharing and distances the front holds more or less often than the initial population.

    Of a search with one objective, whose front is one genome, the last population stands for the front.
    """
    from star_search.analysis.enrichment import motif_statistics
    from star_search.analysis.run_view import RunView
    from star_search.cli.console import exit_if_damaged, print_damaged, print_json
    from star_search.runs.locate import locate, newest_run

    view = RunView.read(*((newest_run(Path("runs")), None) if run is None else locate(run)))
    print_damaged(view)
    found = motif_statistics(view, permutations, seed)
    if json_:
        print_json({"run": view.run.name, "generation": view.generation, "seed": seed, **found.as_json()})
    else:
        _print(view, found, len(found.motifs) if everything else ROWS_SHOWN)
    exit_if_damaged(view)


def _print(view: RunView, found: MotifStatistics, rows: int) -> None:
    from rich.table import Table

    from star_search.analysis.enrichment import format_p
    from star_search.cli.console import as_text, console

    console.print(
        f"{found.group} of generation {view.generation} ({found.selected_genomes} genomes) against the initial population "
        f"({found.initial_genomes}): {len(found.motifs)} motifs, {found.permutations:,} relabellings"
    )
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("kind", "motif", found.group, "initial", "p", "corrected"):
        table.add_column(heading, justify="left" if heading in ("kind", "motif") else "right")
    for each in found.motifs[:rows]:
        numbers = (f"{each.selected:.2f}", f"{each.initial:.2f}", format_p(each.p_value), format_p(each.corrected_p_value))
        table.add_row(each.kind, as_text(each.name), *numbers, style="bold" if each.is_significant else None)
    console.print(table)
    if len(found.motifs) > rows:
        console.print(f"and {len(found.motifs) - rows} more with --all")
    significant = [each for each in found.motifs if each.is_significant]
    for each in significant:
        console.print(as_text(each.sentence(found.group)))
    if not significant:
        console.print("no motif differs at 5 % once corrected for their number")
    console.print(
        f"\n{found.group} and initial are occurrences per genome. The test takes the genomes of this one run as exchangeable; those of a "
        f"{found.group} descend from common parents, so a claim about a search needs several seeds."
    )
