"""The bar that shows how far the preparation of a text is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from star_search.cli.console import errors
from star_search.cli.session import INTERRUPTED


@contextmanager
def preparation_bar(quiet: bool) -> Iterator[Callable[[float, int], None]]:
    """Give a function that is told the share that is done and the tokens there are; on a terminal it draws a bar.

    Ctrl-C inside the block says in a sentence that nothing is lost, and exits with code 130.
    """
    try:
        with _bar(quiet) as report:
            yield report
    except KeyboardInterrupt:
        errors.print("interrupted; what is tokenised is kept, and the same command goes on")
        raise typer.Exit(INTERRUPTED) from None


@contextmanager
def _bar(quiet: bool) -> Iterator[Callable[[float, int], None]]:
    if quiet or not errors.is_terminal:
        yield lambda done, tokens: None
        return
    columns = (
        TextColumn("preparing the text"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[tokens]:,} tokens"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task("", total=1.0, tokens=0)
        yield lambda done, tokens: progress.update(task, completed=done, tokens=tokens)
