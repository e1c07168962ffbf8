"""`star-search report`: a run as one interactive HTML file, or served as it grows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path | None, typer.Argument(help="A run, a generation folder, or runs/genNN; the newest run by default.")] = None,
    out: Annotated[Path | None, typer.Option(help="File to write; report-RUN.html by default.")] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Write nothing; serve it to browsers on this machine until Ctrl-C.")] = False,
    port: Annotated[int, typer.Option(help="Port to serve on; a free one by default.")] = 0,
) -> None:
    """Write a run as one HTML file that needs no network: front, candidates, drawings, lineages, motifs.

    With --serve a page in a browser instead, which shows what is recorded while it is open: of a search that another process runs, say.
    """
    from star_search.analysis.report import write_report
    from star_search.analysis.run_view import RunView
    from star_search.cli.console import as_text, console, print_damaged
    from star_search.cli.dashboard import listen, serve_until_interrupted, url_of
    from star_search.errors import InputError
    from star_search.runs.locate import locate, newest_run

    found, generation = (newest_run(Path("runs")), None) if run is None else locate(run)
    if serve:
        if out is not None:
            raise InputError(f"--serve writes no file, so --out {out} cannot be kept; give one of the two")
        with listen("--port", port) as listener:
            console.print(f"serving {as_text(str(found.path))} at {url_of(listener)} until Ctrl-C")
            serve_until_interrupted(listener, found, generation)
        return
    view = RunView.read(found, generation)
    print_damaged(view)
    path = out or Path(f"report-{view.run.path.resolve().name}.html")
    write_report(view, path)
    console.print(f"wrote {path}", markup=False)
