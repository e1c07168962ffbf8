"""`star-search benchmark --decoding`: genomes, or the front of a run, after prompts of several lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from star_search.benchmark.decoding import DecodingRow, DecodingSetting
    from star_search.config import SearchConfig

LENGTHS = "512,1024,2048,4096,8192,16384,32768"


@dataclass(frozen=True)
class Given:
    """What is measured: genomes by name, under a configuration, at a vocabulary."""

    config: SearchConfig
    genomes: dict[str, str]
    vocabulary: int


def measurement(batch: int, repeats: int, precision: str | None, device: str) -> dict[str, Any]:
    """Return section `measurement`, refusing a batch below 1 and an unknown precision."""
    from star_search.cli.benchmark import check_positive
    from star_search.cli.benchmark_models import chosen_precision

    check_positive({"--batch": batch})
    return {"batch": batch, "repeats": repeats, "precision": chosen_precision(precision, device)}


def numbers(lengths: str | None) -> tuple[int, ...]:
    """Return the lengths of the prompts."""
    from star_search.cli.benchmark import read_lengths

    return read_lengths(lengths or LENGTHS, "one")


def given(
    searched: Path | None, texts: Sequence[str], catalogue: str, width: int, times: int, vocabulary: int, measurement: dict[str, Any]
) -> Given:
    """Return what is to be measured.

    Raises:
        InputError: for no genome or both kinds, an illegal genome, or a run without a front.
    """
    from star_search.cli.benchmark import check_positive
    from star_search.cli.benchmark_models import genomes
    from star_search.config import parse_configuration
    from star_search.errors import InputError

    if bool(texts) == (searched is not None):
        raise InputError("--decoding needs --genome, which may be repeated, or --run, and not both")
    if searched is not None:
        return _front(searched, measurement)
    check_positive({"--times": times, "--vocabulary": vocabulary})
    named = genomes(catalogue, width, texts, [], times, default=False)
    config = parse_configuration({"space": {"width": width, "catalogue": catalogue}, "measurement": measurement})
    return Given(config, named, vocabulary)


def _front(path: Path, measurement: dict[str, Any]) -> Given:
    from star_search.analysis.run_view import RunView
    from star_search.config_objectives import MeasurementConfig
    from star_search.errors import InputError
    from star_search.runs.locate import locate

    view = RunView.read(*locate(path))
    if not view.front:
        raise InputError(f"{view.run.path} has no front yet, so there is nothing to measure")
    config = view.config.model_copy(update={"measurement": MeasurementConfig(**measurement)})
    named = {f"candidate {record.id}": record.canonical for record in view.front}
    return Given(config, named, int(view.provenance["data"]["vocabulary_size"]))


def run(given: Given, lengths: tuple[int, ...], device: str, threads: int, out: Path | None, as_json: bool) -> None:
    """Measure, print what came of it, and write it where asked."""
    from rich.progress import track

    from star_search.benchmark import decoding, report
    from star_search.cli.console import errors, print_json, print_written

    if out is not None:
        report.check_target(out, decoding.FILES)
    setting = decoding.DecodingSetting(given.config, given.genomes, lengths, given.vocabulary, device, threads)
    measured = decoding.measure_decoding(setting)
    shown = track(measured, "measuring", len(given.genomes), console=errors, transient=True, disable=not errors.is_terminal)
    rows = [row for rows in shown for row in rows]
    print_json(decoding.as_json(setting, rows)) if as_json else _print(setting, rows)
    for path in decoding.write(setting, rows, out) if out is not None else []:
        print_written(path, aside=as_json)


def _print(setting: DecodingSetting, rows: list[DecodingRow]) -> None:
    from rich.table import Table

    from star_search.benchmark import decoding
    from star_search.cli.console import console

    table = Table(title=decoding.title(setting), title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for index, heading in enumerate(decoding.HEADINGS):
        table.add_column(heading, justify="right" if index else "left", overflow="fold", no_wrap=bool(index))
    for row in rows:
        table.add_row(*decoding.cells(row))
    console.print(table)
    console.print(decoding.legend(rows), markup=False)
