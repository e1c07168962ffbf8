"""Drawings of backbones (STAR appendix B): blocks in depth order, arcs for what they share; and genomes as strips."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, Patch, PathPatch, Rectangle
from matplotlib.path import Path

from star_search.analysis.figures.style import COLUMN, MUTED, PAGE, SHARING_LINES, SHARING_NAMES, bare, ink_on, new_figure, text
from star_search.analysis.motifs import links
from star_search.analysis.run_view import RunView
from star_search.analysis.strips import FAMILY_COLOURS, FAMILY_LETTERS, families
from star_search.genome.catalogue import Catalogue
from star_search.genome.composition import blocks
from star_search.genome.encoding import Genome
from star_search.genome.evolved import catalogue_for

DRAWN = 8
# Units of a drawing: a LIV is 1 wide; the block's height, and the height of an arc between neighbours.
BLOCK_HEIGHT, ARC = 1.9, 0.62
# Inches above every drawing for its title, and below all of them for the legend.
TITLE, LEGEND = 0.24, 0.72
SMALLEST_NAME = 4.0


def draw_backbones(named: Sequence[tuple[str, Genome]], catalogue: Catalogue) -> Figure:
    """Return one drawing below the other for every (title, legal genome): feature sharing in arcs above, featurizer sharing below."""
    depth = max(genome.depth for _, genome in named)
    unit = min(0.42, (PAGE - 0.2) / (depth + 1))
    reaches = [_reach(genome, catalogue) for _, genome in named]
    heights = [unit * (BLOCK_HEIGHT + up + down) for up, down in reaches]
    width, total = max(unit * (depth + 1) + 0.2, COLUMN), sum(heights) + TITLE * len(named) + LEGEND
    figure, top = Figure(figsize=(width, total)), total
    for (title, genome), height, (up, down) in zip(named, heights, reaches, strict=True):
        # Placed by hand: a unit is the same length in every panel and direction.
        top -= TITLE + height
        axes = figure.add_axes((0.1 / width, top / total, unit * (depth + 1) / width, height / total))
        axes.set_xlim(-0.5, depth + 0.5)
        axes.set_ylim(-down, BLOCK_HEIGHT + up)
        axes.set_axis_off()
        axes.set_title(text(title), fontsize=7, loc="left", pad=2)
        _draw(axes, genome, catalogue, unit)
    handles = _legend([genome for _, genome in named], catalogue)
    figure.legend(handles=handles, loc="lower center", frameon=False, ncols=4 if width > 5 else 2, fontsize=6.5)
    return figure


def draw_front_backbones(view: RunView) -> Figure:
    """Return drawings of the front, the best in the first objective first, at most eight."""
    name = view.names[0]
    named = [
        (f"candidate {record.id}: {name} {record.objectives[name]:,.2f}", Genome.parse(record.canonical)) for record in view.front[:DRAWN]
    ]
    return draw_backbones(named, view.catalogue)


def _reach(genome: Genome, catalogue: Catalogue) -> tuple[float, float]:
    """Return how far arcs reach above and below the blocks."""
    found = links(genome, catalogue)
    up = max((_height(link.distance) + 0.45 for link in found if link.kind == "features"), default=0.0)
    down = max((_height(link.distance) for link in found if link.kind == "featurizer"), default=0.0)
    return up + 0.1, down + 0.1


def _height(distance: int) -> float:
    return float(ARC * distance**0.6)


def _draw(axes: Axes, genome: Genome, catalogue: Catalogue, unit: float) -> None:
    complete = catalogue_for(genome, catalogue)
    # Points to an inch, for letters that fill a third of a block's width.
    size = min(7.0, 72 * unit / 3.2)
    axes.plot([-0.4, genome.depth + 0.4], [BLOCK_HEIGHT / 2] * 2, color=MUTED, linewidth=0.8, zorder=0)
    for place, (family, liv) in enumerate(zip(families(genome, catalogue), genome.livs, strict=True)):
        colour = FAMILY_COLOURS[family]
        axes.add_patch(Rectangle((place + 0.08, 0), 0.84, BLOCK_HEIGHT, color=colour, linewidth=0, gid=f"liv {place + 1}"))
        name = text(complete[liv.liv_class].name)
        fit = min(size, 72 * unit * BLOCK_HEIGHT / (0.62 * len(name)))
        if fit < SMALLEST_NAME:
            name, fit = FAMILY_LETTERS[family], 1.4 * size
        turn = 90 if len(name) > 1 else 0
        axes.text(place + 0.5, BLOCK_HEIGHT / 2, name, rotation=turn, ha="center", va="center", fontsize=fit, color=ink_on(colour))
    for block in blocks(genome):
        if block.size > 1:
            axes.add_patch(_frame(block.start, block.stop, dashed=block.is_routed))
    for link in links(genome, catalogue):
        colour, dashes = SHARING_LINES[link.kind]
        above = link.kind == "features"
        start, height = (BLOCK_HEIGHT, _height(link.distance)) if above else (0.0, -_height(link.distance))
        # The control points of a cubic curve lie a third higher than its top.
        ends = [(link.first + 0.5, start), (link.second + 0.5, start)]
        path = Path([ends[0], *((x, start + height * 4 / 3) for x, _ in ends), ends[1]], [Path.MOVETO, *[Path.CURVE4] * 3])
        gid = f"{link.kind} {link.first + 1}-{link.second + 1}"
        axes.add_patch(PathPatch(path, fill=False, edgecolor=colour, linestyle=dashes, linewidth=1, gid=gid))
        if above:
            middle = (link.first + link.second + 1) / 2
            axes.text(middle, start + height + 0.05, ", ".join(link.groups), ha="center", va="bottom", fontsize=max(4.5, min(5.5, size)))


def _frame(start: int, stop: int, dashed: bool) -> FancyBboxPatch:
    """Return the frame around LIVs that run in parallel, dashed where a router combines them."""
    shape = "round,pad=0.03,rounding_size=0.12"
    style = "dotted" if dashed else "solid"
    corner, size = (start + 0.04, -0.06), (stop - start - 0.08, BLOCK_HEIGHT + 0.12)
    return FancyBboxPatch(
        corner, *size, boxstyle=shape, fill=False, edgecolor=MUTED, linewidth=1, linestyle=style, gid=f"block {start + 1}-{stop}"
    )


def _legend(genomes: Sequence[Genome], catalogue: Catalogue) -> list[Patch | Line2D]:
    used = {family for genome in genomes for family in families(genome, catalogue)}
    shared = {link.kind for genome in genomes for link in links(genome, catalogue)}
    handles: list[Patch | Line2D] = [
        Patch(color=FAMILY_COLOURS[name], label=f"{FAMILY_LETTERS[name]} {name}") for name in FAMILY_COLOURS if name in used
    ]
    for kind, (colour, dashes) in SHARING_LINES.items():
        if kind in shared:
            handles.append(Line2D([], [], color=colour, linestyle=dashes, linewidth=1, label=SHARING_NAMES[kind]))
    return handles


def draw_genomes(view: RunView) -> Figure:
    """Return the front and the population as strips, one row per candidate, one cell per LIV."""
    front = {record.id for record in view.front}
    rows = [("front", record) for record in view.front]
    rows += [("population", record) for record in view.population if record.id not in front and view.account(record) is not None]
    depth = view.config.space.depth
    figure, axes = new_figure(max(3.4, min(PAGE, 1.4 + 0.2 * depth)), 0.9 + 0.17 * len(rows))
    used: set[str] = set()
    for row, (_, record) in enumerate(rows):
        for column, family in enumerate(families(Genome.parse(record.canonical), view.catalogue)):
            colour = FAMILY_COLOURS[family]
            axes.add_patch(Rectangle((column, row), 0.92, 0.86, color=colour, linewidth=0))
            axes.text(column + 0.46, row + 0.45, FAMILY_LETTERS[family], color=ink_on(colour), ha="center", va="center", fontsize=6)
            used.add(family)
    axes.set_xlim(0, depth)
    axes.set_ylim(len(rows), 0)
    axes.set_yticks([row + 0.45 for row in range(len(rows))], [f"{kind} {record.id}" for kind, record in rows], fontsize=6)
    axes.set_xticks([0.46, depth - 0.54], ["1", str(depth)])
    axes.set_xlabel("LIV in depth order")
    handles = [Patch(color=FAMILY_COLOURS[name], label=f"{FAMILY_LETTERS[name]} {name}") for name in FAMILY_COLOURS if name in used]
    figure.legend(handles=handles, frameon=False, loc="outside upper center", ncols=2 if depth < 16 else 3)
    bare(axes)
    return figure
