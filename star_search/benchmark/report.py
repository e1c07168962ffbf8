"""What came of measuring operators, as Markdown, as JSON and as a figure."""

from __future__ import annotations

import io
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from star_search.benchmark.operators import LINEAR_EXPONENT, ClassCost, Point, Setting
from star_search.runs.atomic import write_bytes, write_json, write_text
from star_search.runs.output import check_folder, make_folder

QUIET_SPREAD = 0.2
LEGEND = (
    "T ...: median milliseconds forward and backward of so many tokens. Spread: half the distance of the quartiles over the median, at the "
    "length where it is largest. MB: peak memory of the longest. Time and memory: exponents of growth."
)
FILES = ("operators.json", "operators.md", "operators.svg")
# Okabe and Ito's colours, which colour-blind readers tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def check_target(folder: Path, names: Sequence[str] = FILES) -> None:
    """Refuse a folder that cannot be written or holds one of the files already.

    Raises:
        InputError: naming the folder or the file.
    """
    check_folder(folder, "--out", names)


def write(setting: Setting, costs: Sequence[ClassCost], folder: Path) -> list[Path]:
    """Write figures of merit as JSON, Markdown and SVG and return the paths.

    Raises:
        InputError: when one of them exists.
        StarSearchError: when the disk fails.
    """
    check_target(folder)
    buffer = io.BytesIO()
    with rc_context({"svg.fonttype": "none"}):
        draw(setting, costs).savefig(buffer, format="svg")
    make_folder(folder)
    json_path, markdown_path, figure_path = (folder / name for name in FILES)
    write_json(json_path, as_json(setting, costs))
    write_text(markdown_path, markdown(setting, costs))
    write_bytes(figure_path, buffer.getvalue())
    return [json_path, markdown_path, figure_path]


def as_json(setting: Setting, costs: Sequence[ClassCost]) -> dict[str, Any]:
    """Return everything measured, and with what."""
    versions = {"python": platform.python_version()} | {name: version(name) for name in ("star-search", "torch", "numpy")}
    machine = {"system": platform.system(), "architecture": platform.machine(), "cores": os.cpu_count(), "device": device_name(setting)}
    return {"setting": asdict(setting), "versions": versions, "machine": machine, "classes": [each.as_json() for each in costs]}


def device_name(setting: Setting) -> str:
    """Return the GPU's name, or `cpu`."""
    if not setting.device.startswith("cuda"):
        return "cpu"
    import torch

    return torch.cuda.get_device_name(setting.device)


def headings(setting: Setting) -> list[str]:
    """Return the headings of the table, short enough for a terminal of 80 columns."""
    return ["class", "claim", *(f"T {length}" for length in setting.lengths), "spread", "time", "MB", "memory"]


def cells(cost: ClassCost) -> list[str]:
    """Return one row: median milliseconds forward and backward, their largest spread, exponent of time, memory, its exponent."""
    times = [f"{1e3 * point.total.median:.1f}" for point in cost.points]
    memory = f"{cost.points[-1].peak_bytes / 1e6:.0f}"
    claim = "T" if cost.linear else "T^2"
    return [cost.name, claim, *times, f"{cost.spread:.0%}", f"{cost.time_exponent:.2f}", memory, f"{cost.memory_exponent:.2f}"]


def verdict(costs: Sequence[ClassCost]) -> str:
    """Return what the table says of the classes that claim linear time, and whether the machine was quiet enough to say it."""
    linear = [cost for cost in costs if cost.linear]
    over = [f"{cost.name} ({cost.time_exponent:.2f})" for cost in linear if cost.time_exponent > LINEAR_EXPONENT]
    kept = f"{len(linear) - len(over)} of {len(linear)} classes that claim linear time grow with an exponent of at most {LINEAR_EXPONENT}"
    lines = [f"{kept}; above it: {', '.join(over) or 'none'}."]
    if restless := [cost.name for cost in costs if cost.spread > QUIET_SPREAD]:
        lines.append(f"Spread above {QUIET_SPREAD:.0%} in {', '.join(restless)}: the machine was not quiet, measure again.")
    return "\n".join(lines)


def markdown(setting: Setting, costs: Sequence[ClassCost]) -> str:
    """Return the table as Markdown."""
    rows = [headings(setting), ["---"] * len(headings(setting)), *map(cells, costs)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{table}\n\n{LEGEND}\n{verdict(costs)}\n"


def draw(setting: Setting, costs: Sequence[ClassCost]) -> Figure:
    """Return time above and memory below over length, a column for each family, differential classes dashed, slopes 1 and 2 in grey."""
    families = list(dict.fromkeys(cost.family for cost in costs))
    figure = Figure(figsize=(0.8 + 2.3 * len(families), 5.8), layout="constrained")
    panels = figure.subplots(2, len(families), sharex=True, sharey="row", squeeze=False)
    values: list[tuple[str, Callable[[Point], float]]] = [
        ("forward + backward (ms)", lambda point: 1e3 * point.total.median),
        ("peak memory (MB)", lambda point: point.peak_bytes / 1e6),
    ]
    for row, (label, value) in zip(panels, values, strict=True):
        row[0].set_ylabel(label)
        for family, axes in zip(families, row, strict=True):
            _draw_family(axes, [cost for cost in costs if cost.family == family], value)
            axes.set_xticks(setting.lengths, [f"{length:,}" for length in setting.lengths], fontsize=6)
            axes.xaxis.set_minor_locator(NullLocator())
    for family, axes in zip(families, panels[0], strict=True):
        axes.set_title(family, fontsize=9)
    for axes in panels[1]:
        axes.set_xlabel("tokens", fontsize=8)
        axes.legend(fontsize=6.5, frameon=False, handlelength=2.4, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.22))
    return figure


def _draw_family(axes: Axes, costs: Sequence[ClassCost], value: Callable[[Point], float]) -> None:
    bases = list(dict.fromkeys(cost.name.removesuffix("-Diff") for cost in costs))
    for cost in costs:
        colour, dashes = COLOURS[bases.index(cost.name.removesuffix("-Diff")) % len(COLOURS)], "--" if cost.name.endswith("-Diff") else "-"
        lengths, costs_there = [point.length for point in cost.points], [value(point) for point in cost.points]
        axes.plot(lengths, costs_there, dashes, color=colour, marker="o", markersize=2.5, linewidth=1.1, label=cost.name)
    lengths = [point.length for point in costs[0].points]
    for slope in (1, 2):
        start = min(value(cost.points[0]) for cost in costs) / 1.5
        axes.plot(lengths, [start * (length / lengths[0]) ** slope for length in lengths], color="#BBBBBB", linewidth=0.8, zorder=0)
        axes.annotate(
            f"T{'²' if slope == 2 else ''}", (lengths[-1], start * (lengths[-1] / lengths[0]) ** slope), fontsize=7, color="#888888"
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.tick_params(labelsize=7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
