"""`star-search benchmark`: measure time and memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from star_search.benchmark.operators import ClassCost, Setting


def benchmark(
    operators: Annotated[bool, typer.Option("--operators", help="Forward and backward of each LIV class over sequence length.")] = False,
    decoding: Annotated[bool, typer.Option("--decoding", help="Cache, time and memory of decoding over the length of the prompt.")] = False,
    genome: Annotated[list[str] | None, typer.Option(help="Genome whose decoding is measured; may be repeated.")] = None,
    run: Annotated[Path | None, typer.Option(help="Run whose front's decoding is measured, at its width and vocabulary.")] = None,
    lengths: Annotated[str | None, typer.Option(help="Lengths, joined by commas; powers of two from 512 by default.")] = None,
    width: Annotated[int, typer.Option(help="Width of the residual stream.")] = 256,
    vocabulary: Annotated[int, typer.Option(help="Vocabulary of the genomes given by --genome.")] = 256,
    classes: Annotated[str | None, typer.Option(help="Class ids or names, joined by commas; all by default.")] = None,
    catalogue: Annotated[str, typer.Option(help="Name of the catalogue.")] = "star",
    batch: Annotated[int, typer.Option(help="Sequences at a time.")] = 1,
    precision: Annotated[str, typer.Option(help="Of decoding: float32 or bfloat16.")] = "float32",
    threads: Annotated[int | None, typer.Option(help="CPU threads; as many as there are cores by default.")] = None,
    repeats: Annotated[int, typer.Option(help="Timed passes at each length.")] = 7,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Write what was measured into this folder.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure time and peak memory over sequence length, and how they grow.

    No class is timed whose fast form differs from its reference form, and no genome whose decoding cache is not the declared one.
    """
    from star_search.errors import InputError

    if operators == decoding:
        raise InputError("benchmark measures one of --operators and --decoding at a time")
    if operators and (genome or run):
        raise InputError("--genome and --run are for --decoding; --operators takes --classes")
    if operators:
        setting = _setting(catalogue, width, batch, lengths or "512,1024,2048,4096", threads, repeats, device)
        _measure(setting, _classes(catalogue, classes, width), out, json_)
        return
    from star_search.cli.benchmark_decoding import measure_decoding, plan

    space = {"width": width, "catalogue": catalogue}
    measurement = {"batch": batch, "repeats": repeats, "precision": precision}
    given = plan(genome or [], run, space, vocabulary, measurement, lengths, threads, device)
    measure_decoding(given, out, json_)


def _setting(catalogue: str, width: int, batch: int, lengths: str, threads: int | None, repeats: int, device: str) -> Setting:
    import os

    from star_search.benchmark.operators import Setting
    from star_search.errors import InputError
    from star_search.evolution.workers import devices

    threads = threads if threads is not None else os.cpu_count() or 1
    for option, value in (("--width", width), ("--batch", batch), ("--threads", threads), ("--repeats", repeats)):
        if value < 1:
            raise InputError(f"{option} must be at least 1, got {value}")
    return Setting(catalogue, width, batch, read_lengths(lengths, fewest=2), threads, repeats, devices(device)[0])


def read_lengths(text: str, fewest: int) -> tuple[int, ...]:
    """Return the numbers of `--lengths`, rising.

    Raises:
        InputError: for anything that is no list of whole numbers, or too few of them.
    """
    from star_search.errors import InputError

    parts = [part.strip() for part in text.split(",")]
    numbers = sorted({int(part) for part in parts if part.isdigit()})
    if not all(part.isdigit() for part in parts) or len(numbers) < fewest or numbers[0] < 1:
        count = "one" if fewest == 1 else "two"
        raise InputError(f"--lengths must be {count} or more whole numbers from 1, joined by commas, got {text}")
    return tuple(numbers)


def _classes(catalogue: str, classes: str | None, width: int) -> list[int]:
    """Return the ids of the classes asked for, refusing a width that one of them does not fit."""
    from star_search.genome.accounting import Dimensions
    from star_search.genome.catalogue import load_catalogue

    table = load_catalogue(catalogue)
    ids = table.ids if classes is None else [table.find(key.strip()).id for key in classes.split(",")]
    for class_id in ids:
        Dimensions(table[class_id], width)
    return list(dict.fromkeys(ids))


def _measure(setting: Setting, ids: list[int], out: Path | None, as_json: bool) -> None:
    from rich.progress import track

    from star_search.benchmark import report
    from star_search.benchmark.operators import measure_classes
    from star_search.cli.console import console, errors, print_json

    if out is not None:
        report.check_target(out)
    measured = measure_classes(setting, ids)
    shown = track(measured, "measuring", len(ids), console=errors, transient=True, disable=not errors.is_terminal)
    costs: list[ClassCost] = list(shown)
    print_json(report.as_json(setting, costs)) if as_json else _print(setting, costs)
    for path in report.write(setting, costs, out) if out is not None else []:
        (errors if as_json else console).print(f"wrote {path}", markup=False)


def _print(setting: Setting, costs: list[ClassCost]) -> None:
    from rich.table import Table

    from star_search.benchmark import report
    from star_search.cli.console import console

    threads = f"{setting.threads} thread{'s' if setting.threads > 1 else ''}"
    title = f"Forward and backward, width {setting.width}, batch {setting.batch}, {report.device_name(setting)}, {threads}, fp32"
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for index, heading in enumerate(report.headings(setting)):
        table.add_column(heading, justify="right" if index > 1 else "left", no_wrap=True)
    for cost in costs:
        table.add_row(*report.cells(cost))
    console.print(table)
    console.print(f"{report.LEGEND}\n{report.verdict(costs)}", markup=False)
