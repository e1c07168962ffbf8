"""What all figures have in common: sizes in inches, letters that can be read in a column, colours that differ in grey as well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator
from numpy import linspace

from star_search.analysis.plain_text import printable
from star_search.analysis.run_view import RunView
from star_search.objectives.registry import KINDS

FORMATS = ("pdf", "svg", "png")

COLUMN, PAGE = 3.4, 7.0
SETTINGS: dict[Any, Any] = {
    "font.size": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.1,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "star-search",
}
LABELS = {
    "cache_bytes": "cache (bytes)",
    "bits_per_byte": "bits per byte",
    "time_to_first_token": "time to the first token (s)",
    "decode_seconds": "time of a token (s)",
    "peak_bytes": "peak memory (bytes)",
}
INK, ACCENT, MUTED, PALE = "#222222", "#0072B2", "#999999", "#CCCCCC"
# Both kinds of sharing, told apart by the dashes in grey.
SHARING_LINES: dict[str, tuple[str, Any]] = {"features": ("#222222", "solid"), "featurizer": ("#D55E00", (0, (3, 1.5)))}
SHARING_NAMES = {"features": "feature groups shared", "featurizer": "featurizer weights shared"}
# From pale to dark, so that grey keeps the order; the palest end is left out, since it vanishes on white.
ORDERED: Colormap = ListedColormap(colormaps["viridis_r"](linspace(0.12, 1, 256)))

BEST_DARK = ORDERED.reversed()


def label(name: str) -> str:
    """Return an axis label for an objective; the name of a file of the user's own means nothing but itself."""
    kind, _, length = name.partition("@")
    if kind not in KINDS:
        return text(name)
    return LABELS.get(kind, kind) + (f" at {int(length):,} tokens" if length.isdecimal() else "")


def front_scale(view: RunView) -> Normalize:
    """Return the range of the front's first objective, for `BEST_DARK`; a front of one value is all dark."""
    values = [record.objectives[view.names[0]] for record in view.front]
    return Normalize(min(values), max(values))


def explain_front(figure: Figure, axes: Axes, view: RunView) -> None:
    """Say what the front's colours mean: a bar, and where there is one value alone a line of the legend."""
    scale, name = front_scale(view), label(view.names[0])
    if scale.vmin == scale.vmax:
        axes.plot([], [], color=BEST_DARK(0.0), label=f"front, {name} {scale.vmin:.4g}")
    else:
        figure.colorbar(ScalarMappable(scale, BEST_DARK), ax=axes, label=f"front, by {name}")


def over_generations(axes: Axes, generations: Sequence[int]) -> None:
    """Make generations the x axis: half of one to spare at both ends, ticks at whole numbers alone."""
    axes.set_xlim(generations[0] - 0.5, generations[-1] + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    axes.set_xlabel("generation")


def text(name: str) -> str:
    """Return text from outside so that matplotlib reads no mathematics in it and nothing invisible is left."""
    return printable(name).replace("$", r"\$")


def ink_on(colour: str) -> str:
    """Return black or white, whichever is read better on a colour (relative luminance of WCAG 2)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "white" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else "black"


def new_figure(width: float = COLUMN, height: float = 2.6) -> tuple[Figure, Axes]:
    """Return a figure with one plain panel."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    plain(axes)
    return figure, axes


def plain(axes: Axes) -> None:
    """Take away the upper and the right frame."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def bare(axes: Axes) -> None:
    """Take away the whole frame and the ticks' marks."""
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def settle(figure: Figure) -> None:
    """Fix ticks and layout: room is made for the ticks that are drawn, not for those of the axes before they had their size."""
    figure.draw_without_rendering()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(FixedLocator(list(axis.get_majorticklocs())))
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
