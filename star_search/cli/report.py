"""`star-search report`: a run as one interactive HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path | None, typer.Argument(help="A run, a generation folder, or runs/genNN; the newest run by default.")] = None,
    out: Annotated[Path | None, typer.Option(help="File to write; report-RUN.html by default.")] = None,
) -> None:
    """Write a run as one HTML file that needs no network: front, candidates, drawings, lineages, motifs."""
    from star_search.analysis.report import write_report
    from star_search.analysis.run_view import RunView
    from star_search.cli.console import console, print_damaged
    from star_search.runs.locate import locate, newest_run

    view = RunView.read(*((newest_run(Path("runs")), None) if run is None else locate(run)))
    print_damaged(view)
    path = out or Path(f"report-{view.run.path.resolve().name}.html")
    write_report(view, path)
    console.print(f"wrote {path}", markup=False)
