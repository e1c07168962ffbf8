"""`star-search benchmark --decoding`: which genomes, and the table."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from rich.progress import track
from rich.table import Table

from star_search.benchmark import decoding, report
from star_search.benchmark.decoding import DecodingSetting
from star_search.cli.benchmark import read_lengths
from star_search.cli.console import console, errors, print_json
from star_search.config import SearchConfig, parse_configuration
from star_search.errors import InputError
from star_search.evolution.workers import devices
from star_search.genome.catalogue import load_catalogue
from star_search.genome.encoding import Genome
from star_search.genome.rules import Rules

LENGTHS = "512,1024,2048,4096,8192,16384,32768"


def plan(
    genomes: list[str],
    run: Path | None,
    space: dict[str, Any],
    vocabulary: int,
    measurement: dict[str, Any],
    lengths: str | None,
    threads: int | None,
    device: str,
) -> DecodingSetting:
    """Return what is to be measured.

    Raises:
        InputError: for no genome or both kinds, an illegal genome, or an option out of its bounds.
    """
    if bool(genomes) == (run is not None):
        raise InputError("--decoding needs --genome, which may be repeated, or --run, and not both")
    threads = threads if threads is not None else os.cpu_count() or 1
    for option, value in (("--vocabulary", vocabulary), ("--threads", threads)):
        if value < 1:
            raise InputError(f"{option} must be at least 1, got {value}")
    changes = [f"measurement.{key}={value}" for key, value in measurement.items()]
    if run is not None:
        config, named, vocabulary = _front(run, changes)
    else:
        config = parse_configuration({"space": space, "measurement": measurement}, where="benchmark")
        named = {text: text for text in genomes}
    for text in named.values():
        genome = Genome.parse(text)
        Rules.of(load_catalogue(config.space.catalogue), genome.layout).check(genome)
    return DecodingSetting(config, named, read_lengths(lengths or LENGTHS, fewest=1), vocabulary, devices(device)[0], threads)


def _front(path: Path, changes: list[str]) -> tuple[SearchConfig, dict[str, str], int]:
    """Return a run's configuration with changes, its front's genomes by candidate, and its vocabulary."""
    from star_search.analysis.run_view import RunView
    from star_search.runs.locate import locate

    view = RunView.read(*locate(path))
    if not view.front:
        raise InputError(f"{view.run.path} has no front yet, so there is nothing to measure")
    config = parse_configuration(view.config.model_dump(mode="json"), changes, where=str(view.run.path / "config.yaml"))
    named = {f"candidate {record.id}": record.canonical for record in view.front}
    return config, named, int(view.provenance["data"]["vocabulary_size"])


def measure_decoding(setting: DecodingSetting, out: Path | None, as_json: bool) -> None:
    """Measure, and print and write what came of it."""
    if out is not None:
        report.check_target(out, decoding.FILES)
    shown = track(
        decoding.measure_decoding(setting),
        "measuring",
        len(setting.genomes),
        console=errors,
        transient=True,
        disable=not errors.is_terminal,
    )
    rows = [row for rows in shown for row in rows]
    print_json(decoding.as_json(setting, rows)) if as_json else _print(setting, rows)
    for path in decoding.write(setting, rows, out) if out is not None else []:
        (errors if as_json else console).print(f"wrote {path}", markup=False)


def _print(setting: DecodingSetting, rows: list[decoding.DecodingRow]) -> None:
    table = Table(title=decoding.title(setting), title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for index, heading in enumerate(decoding.HEADINGS):
        table.add_column(heading, justify="right" if index else "left", overflow="fold", no_wrap=bool(index))
    for row in rows:
        table.add_row(*decoding.cells(row))
    console.print(table)
    console.print(decoding.LEGEND, markup=False)
