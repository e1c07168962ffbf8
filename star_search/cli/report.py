"""`star-search report`: a run as one interactive HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path | None, typer.Argument(help="A run, a generation folder, or runs/genNN; the newest run by default.")] = None,
    out: Annotated[Path | None, typer.Option(help="File to write; report-RUN.html by default.")] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write what TensorBoard shows into the run instead: scalars and hyper-parameters.")
    ] = False,
) -> None:
    """Write a run as one HTML file that needs no network: front, candidates, drawings, lineages, motifs."""
    from star_search.errors import InputError

    if tensorboard and out is not None:
        raise InputError("--tensorboard writes into the run's own folder, so it cannot be combined with --out")
    _write_events(run) if tensorboard else _write_page(run, out)


def _write_events(run: Path | None) -> None:
    import shlex

    from star_search.analysis.run_view import RunView
    from star_search.analysis.tensorboard import CandidateEvents
    from star_search.cli.console import console, print_damaged, print_whole
    from star_search.runs.locate import locate, newest_run

    view = RunView.read(newest_run(Path("runs")) if run is None else locate(run)[0])
    print_damaged(view)
    with view.run.writing():
        count = CandidateEvents(view.run, view.config).write_missing(view.records)
    console.print(f"wrote {count:,} candidates; {len(view.records) - count:,} were there")
    print_whole(f"Next: tensorboard --logdir {shlex.quote(str(view.run.path))}")


def _write_page(run: Path | None, out: Path | None) -> None:
    from star_search.analysis.report import write_report
    from star_search.analysis.run_view import RunView
    from star_search.cli.console import console, print_damaged
    from star_search.runs.locate import locate, newest_run

    view = RunView.read(*((newest_run(Path("runs")), None) if run is None else locate(run)))
    print_damaged(view)
    path = out or Path(f"report-{view.run.path.resolve().name}.html")
    write_report(view, path)
    console.print(f"wrote {path}", markup=False)
