"""`star-search evolve`: run a search."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from star_search.config import SearchConfig


def _folder(text: str) -> Path:
    """Return the folder of `--run-dir`; an empty text, as of a variable that is not set, is not the current one."""
    from star_search.errors import InputError

    if not text:
        raise InputError("--run-dir must name a folder, got ''; '.' is the current one")
    return Path(text)


def evolve(
    config: Annotated[str | None, typer.Option(help="A YAML file, or the name of a configuration that ships with the package.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one key; may be repeated.")] = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(parser=_folder, metavar="PATH", help="Folder of the run; runs/NAME, numbered when it exists, by default."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run where it stopped; start it if there is none.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the resolved search and its bill; run nothing.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
    workers: Annotated[str | None, typer.Option(help="Worker processes: a number, auto, or 0 for this process.")] = None,
    asynchronous: Annotated[
        bool,
        typer.Option(
            "--async",
            help="Keep all workers busy: no wait at the end of a generation but the first; the same archive for any number of them.",
        ),
    ] = False,
    scheduler: Annotated[str | None, typer.Option(help="Address or JSON file of a Dask scheduler whose workers train.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the search.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    max_hours: Annotated[float | None, typer.Option(help="Stop cleanly after this many hours.")] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write scalars and hyper-parameters of every candidate into the run, for TensorBoard.")
    ] = False,
    max_tokens: Annotated[int | None, typer.Option(help="Stop cleanly once the run has spent this many training tokens.")] = None,
    dashboard: Annotated[bool, typer.Option("--dashboard", help="Serve the growing report to browsers on this machine.")] = False,
    dashboard_port: Annotated[int | None, typer.Option(help="Port of the dashboard, which it turns on; a free one by default.")] = None,
) -> None:
    """Search for architectures: evolve genomes, train each for a fixed token budget, keep the front.

    Without --config it runs the quickstart on the embedded text: about two and a half minutes on two CPU cores.
    """
    from star_search.cli.session import Session

    overrides = [*(set_ or []), *_overrides(workers, scheduler, seed, device, asynchronous)]
    session = Session.plan(config, overrides, run_dir, resume, max_hours, max_tokens, tensorboard)
    if dry_run:
        _print_bill(session.config)
    elif dashboard or dashboard_port is not None:
        from star_search.cli.dashboard import Dashboard

        with Dashboard(dashboard_port or 0, quiet) as shown:
            raise typer.Exit(session.run(quiet, shown))
    else:
        raise typer.Exit(session.run(quiet))


def _overrides(workers: str | None, scheduler: str | None, seed: int | None, device: str | None, asynchronous: bool) -> list[str]:
    pairs = {
        "workers.count": workers,
        "workers.scheduler": None if scheduler is None else json.dumps(scheduler),  # An empty one is text too, which is refused.
        "algorithm.seed": seed,
        "workers.device": device,
        "algorithm.asynchronous": asynchronous or None,
    }
    return [f"{key}={value}" for key, value in pairs.items() if value is not None]


def _print_bill(config: SearchConfig) -> None:
    from star_search.cli.bill import print_bill

    print_bill(config)
