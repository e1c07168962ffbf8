"""`star-search figures`: a run as figures for a paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def figures(
    run: Annotated[Path | None, typer.Argument(help="A run, a generation folder, or runs/genNN; the newest run by default.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write; figures/RUN by default.")] = None,
    format_: Annotated[list[str] | None, typer.Option("--format", help="pdf, svg or png; may be repeated; all by default.")] = None,
    baseline: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]GENOME", help="Draw its cache beside the front's; may be repeated; Transformer++ by default."),
    ] = None,
) -> None:
    """Draw a run: fronts, scores, progress, cache growth, motifs, backbones, genomes, loss curves, token-mixing matrices."""
    from star_search.analysis.figures import FORMATS, write_figures
    from star_search.analysis.run_view import RunView
    from star_search.cli.console import exit_if_damaged, print_aside, print_damaged, print_written
    from star_search.runs.locate import locate, newest_run

    view = RunView.read(*((newest_run(Path("runs")), None) if run is None else locate(run)))
    print_damaged(view)
    folder = out or Path("figures") / view.run.path.resolve().name
    for path in write_figures(view, folder, format_ or FORMATS, dict(map(_read, baseline or [])), say=print_aside):
        print_written(path)
    exit_if_damaged(view)


def _read(text: str) -> tuple[str, str]:
    """Return a name and a genome; the name of a baseline, or a genome, names itself."""
    from star_search.errors import InputError

    name, equals, genome = text.partition("=")
    if not name or (equals and not genome):
        raise InputError(f"--baseline {text} must read NAME=GENOME, such as Transformer=11111-91111, or name a baseline")
    return name, genome or name
