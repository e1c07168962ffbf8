"""Figures of a run as PNG: its front, its progress, its genomes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from star_search.analysis.run_view import RunView
from star_search.analysis.strips import FAMILY_COLOURS, FAMILY_LETTERS, families
from star_search.errors import InputError, StarSearchError
from star_search.genome.encoding import Genome
from star_search.runs.records import Outcome

LABELS = {
    "cache_bytes": "cache (bytes)",
    "bits_per_byte": "bits per byte",
    "time_to_first_token": "time to the first token (s)",
    "decode_seconds": "time of a token (s)",
    "peak_bytes": "peak memory (bytes)",
}
ACCENT, MUTED = "#0072B2", "#999999"


def write_figures(view: RunView, folder: Path) -> list[Path]:
    """Write every figure that the run has data for and return their paths.

    Raises:
        InputError: when the folder is a file.
        StarSearchError: when the folder cannot be written or nothing is finished yet.
    """
    if not view.progress:
        raise StarSearchError(f"{view.run.path} has no finished generation to draw")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; figures need a folder")
    drawn: dict[str, Callable[[RunView], Figure]] = {"front": draw_front, "progress": draw_progress, "genomes": draw_genomes}
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, draw in drawn.items():
            path = folder / f"{name}.png"
            draw(view).savefig(path, dpi=150)
            paths.append(path)
    except OSError as error:
        raise StarSearchError(f"figures cannot be written to {folder}: {error.strerror}") from None
    return paths


def label(name: str) -> str:
    """Return an axis label for an objective."""
    kind, at, length = name.partition("@")
    return LABELS.get(kind, kind) + (f" at {int(length):,} tokens" if at else "")


def draw_front(view: RunView) -> Figure:
    """Return all candidates over the first objective and the next, or the parameters; shaded by generation, the front joined."""
    across = view.names[1] if len(view.names) > 1 else "parameters"
    figure, axes = _figure(5.2, 3.9)
    done = [record for record in view.records if record.outcome == Outcome.ok]
    dots = axes.scatter(
        [record.objectives[across] for record in done],
        [record.objectives[view.names[0]] for record in done],
        c=[record.generation for record in done],
        cmap="viridis_r",
        s=26,
        edgecolors="white",
        linewidths=0.5,
        zorder=2,
    )
    front = sorted(view.front, key=lambda record: record.objectives[across])
    points = [[record.objectives[name] for record in front] for name in (across, view.names[0])]
    axes.plot(*points, color="black", linewidth=1, marker="o", markersize=8, markerfacecolor="none", zorder=3, label="front")
    figure.colorbar(dots, ax=axes, label="generation", ticks=MaxNLocator(integer=True))
    axes.set_xlabel(label(across))
    axes.set_ylabel(label(view.names[0]))
    axes.legend(frameon=False)
    return figure


def draw_progress(view: RunView) -> Figure:
    """Return best and median of the first objective, and the hypervolume, over the generations."""
    figure = Figure(figsize=(5.2, 4.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    generations = [entry.generation for entry in view.progress]
    for name, colour in (("median", MUTED), ("best", ACCENT)):
        points = [(entry.generation, getattr(entry, name)) for entry in view.progress if getattr(entry, name) is not None]
        upper.plot(
            *zip(*points, strict=True), marker="o", color=colour, label="median of the generation" if name == "median" else "best so far"
        )
    upper.set_ylabel(label(view.names[0]))
    upper.legend(frameon=False)
    lower.plot(generations, [entry.hypervolume for entry in view.progress], marker="o", color=ACCENT)
    lower.set_ylabel("hypervolume\n(share of the reference box)")
    lower.set_xlabel("generation")
    lower.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (upper, lower):
        _plain(axes)
    return figure


def draw_genomes(view: RunView) -> Figure:
    """Return the front and the population as strips, one row per candidate, one cell per LIV."""
    rows = [("front", record) for record in view.front]
    rows += [("population", record) for record in view.population if record not in view.front]
    depth = view.config.space.depth
    figure, axes = _figure(2.2 + 0.24 * depth, 1.2 + 0.24 * len(rows))
    used: set[str] = set()
    for row, (_, record) in enumerate(rows):
        for column, family in enumerate(families(Genome.parse(record.canonical), view.catalogue)):
            axes.add_patch(Rectangle((column, row), 0.92, 0.86, color=FAMILY_COLOURS[family]))
            axes.text(column + 0.46, row + 0.45, FAMILY_LETTERS[family], color="white", ha="center", va="center", fontsize=7)
            used.add(family)
    axes.set_xlim(0, depth)
    axes.set_ylim(len(rows), 0)
    axes.set_yticks([row + 0.45 for row in range(len(rows))], [f"{kind} {record.id}" for kind, record in rows], fontsize=7)
    axes.set_xticks([0.46, depth - 0.54], ["1", str(depth)])
    axes.set_xlabel("LIV in depth order")
    handles = [Patch(color=FAMILY_COLOURS[name], label=f"{FAMILY_LETTERS[name]} {name}") for name in FAMILY_COLOURS if name in used]
    axes.legend(handles=handles, frameon=False, fontsize=7, loc="lower left", bbox_to_anchor=(0, 1), ncols=2 if depth < 16 else 3)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    _plain(axes)
    return figure, axes


def _plain(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
