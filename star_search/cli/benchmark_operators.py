"""`star-search benchmark --operators`: each LIV class over sequence length."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from star_search.benchmark.operators import ClassCost, Setting

LENGTHS = "512,1024,2048,4096"


def setting(catalogue: str, width: int, batch: int, lengths: str, threads: int, repeats: int, device: str) -> Setting:
    """Return what is measured, refusing a batch below 1 and lengths that are not two or more."""
    from star_search.benchmark.operators import Setting
    from star_search.cli.benchmark import check_positive, read_lengths

    check_positive({"--batch": batch})
    return Setting(catalogue, width, batch, read_lengths(lengths, "two"), threads, repeats, device)


def run(setting: Setting, ids: list[int], out: Path | None, as_json: bool) -> None:
    """Measure classes, print what came of it, and write it where asked."""
    from rich.progress import track

    from star_search.benchmark import report
    from star_search.benchmark.operators import measure_classes
    from star_search.cli.console import errors, print_json, print_written

    if out is not None:
        report.check_target(out)
    measured = measure_classes(setting, ids)
    shown = track(measured, "measuring", len(ids), console=errors, transient=True, disable=not errors.is_terminal)
    costs: list[ClassCost] = list(shown)
    print_json(report.as_json(setting, costs)) if as_json else _print(setting, costs)
    for path in report.write(setting, costs, out) if out is not None else []:
        print_written(path, aside=as_json)


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
