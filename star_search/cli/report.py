"""`star-search report`: a run as one interactive HTML file, served as it grows, or for TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from star_search.runs.directory import RunDirectory


def report(
    run: Annotated[Path | None, typer.Argument(help="A run, a generation folder, or runs/genNN; the newest run by default.")] = None,
    out: Annotated[Path | None, typer.Option(help="File to write; report-RUN.html by default.")] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write what TensorBoard shows into the run instead: scalars and hyper-parameters.")
    ] = False,
    serve: Annotated[bool, typer.Option("--serve", help="Serve it to browsers on this machine instead, until Ctrl-C.")] = False,
    port: Annotated[int | None, typer.Option(help="Port to serve on, which turns --serve on; a free one by default.")] = None,
) -> None:
    """Write a run as one HTML file that needs no network: front, candidates, drawings, lineages, motifs.

    With --serve a page that grows with the run while it is open, where another process searches, say.
    """
    from star_search.errors import InputError
    from star_search.runs.locate import locate, newest_run

    serve = serve or port is not None
    if tensorboard and (out is not None or serve):
        raise InputError(f"--tensorboard writes into the run's own folder, so it cannot be combined with {'--serve' if serve else '--out'}")
    if serve and out is not None:
        raise InputError("--serve writes no file, so it cannot be combined with --out")
    found, generation = (newest_run(Path("runs")), None) if run is None else locate(run)
    if tensorboard:
        _write_events(found)
    elif serve:
        _serve(found, generation, port or 0)
    else:
        _write_page(found, generation, out)


def _write_events(run: RunDirectory) -> None:
    from star_search.analysis.plain_text import shell_word
    from star_search.analysis.run_view import RunView
    from star_search.analysis.tensorboard import CandidateEvents
    from star_search.cli.console import console, exit_if_damaged, print_damaged, print_whole

    view = RunView.read(run)
    print_damaged(view)
    with view.run.writing():
        count = CandidateEvents(view.run, view.config).write_missing(view.records)
    console.print(f"wrote {count:,} candidates; {len(view.records) - count:,} were there")
    print_whole(f"Next: tensorboard --logdir {shell_word(str(view.run.path))}")
    exit_if_damaged(view)


def _serve(run: RunDirectory, generation: int | None, port: int) -> None:
    from star_search.analysis.plain_text import printable
    from star_search.cli.console import print_whole
    from star_search.cli.dashboard import listen, serve_until_interrupted, url_of

    with listen("--port", port) as listener:
        print_whole(f"serving {printable(str(run.path))} at {url_of(listener)} until Ctrl-C")
        serve_until_interrupted(listener, run, generation)


def _write_page(run: RunDirectory, generation: int | None, out: Path | None) -> None:
    from star_search.analysis.report import write_report
    from star_search.analysis.run_view import RunView
    from star_search.cli.console import exit_if_damaged, print_damaged, print_written

    view = RunView.read(run, generation)
    print_damaged(view)
    path = out or Path(f"report-{view.run.path.resolve().name}.html")
    write_report(view, path)
    print_written(path)
    exit_if_damaged(view)
