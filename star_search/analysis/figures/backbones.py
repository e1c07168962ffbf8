"""Drawings of backbones (STAR appendix B): blocks in depth order, arcs for what they share; and genomes as strips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, Patch, PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.textpath import text_to_path

from star_search.analysis.figures.arc_labels import arc_points, place_labels
from star_search.analysis.figures.style import COLUMN, MUTED, PAGE, SHARING_LINES, SHARING_NAMES, bare, ink_on, new_figure, text
from star_search.analysis.motifs import Link, links
from star_search.analysis.run_view import RunView
from star_search.analysis.strips import FAMILY_COLOURS, FAMILY_LETTERS, families
from star_search.genome.catalogue import Catalogue
from star_search.genome.composition import blocks
from star_search.genome.encoding import Genome
from star_search.genome.evolved import catalogue_for

DRAWN = 8
# Units of a drawing: a LIV is 1 wide; the block's height, and the height of an arc between neighbours.
BLOCK_HEIGHT, ARC = 1.9, 0.62
# Inches above every drawing for its title, below all of them for the legend, and above an arc for its label.
TITLE, LEGEND, LABEL = 0.24, 0.72, 0.1
SMALLEST_NAME = 4.0
# What a page has room for, in inches and LIVs; what the letter of a family takes of a block; what stands behind letters on lines.
TALLEST, DEEPEST_BESIDE, LETTER = 9.0, 10, 0.5
WHITE: dict[str, Any] = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
ROWS_DRAWN = 45

Named = tuple[str, Genome]


@dataclass(frozen=True, slots=True)
class _Grid:
    """Drawings beside and below each other; a unit of theirs in inches."""

    depth: int
    columns: int
    unit: float

    @classmethod
    def of(cls, named: Sequence[Named]) -> _Grid:
        """Return two columns where names can still be read in them, else one."""
        depth = max(genome.depth for _, genome in named)
        columns = 2 if len(named) > 1 and depth <= DEEPEST_BESIDE else 1
        return cls(depth, columns, min(0.42, (PAGE / columns - 0.2) / (depth + 1)))

    def rows(self, named: Sequence[Named]) -> list[Sequence[Named]]:
        """Return the drawings that stand beside each other, row by row."""
        return [named[start : start + self.columns] for start in range(0, len(named), self.columns)]

    def height(self, row: Sequence[Named], catalogue: Catalogue) -> float:
        """Return the height of a row with its titles, in inches."""
        return TITLE + self.unit * max(BLOCK_HEIGHT + sum(_reach(genome, catalogue, self.unit)) for _, genome in row)


def split_into_pages(named: Sequence[Named], catalogue: Catalogue) -> list[list[Named]]:
    """Return what `draw_backbones` draws on each page of at most 7 by 9 inches."""
    grid, found, filled = _Grid.of(named), [list[Named]()], LEGEND
    for row in grid.rows(named):
        height = grid.height(row, catalogue)
        if found[-1] and filled + height > TALLEST:
            found, filled = [*found, []], LEGEND
        found[-1] += row
        filled += height
    return found


def draw_backbones(named: Sequence[Named], catalogue: Catalogue) -> Figure:
    """Return a drawing for every (title, legal genome): feature sharing in arcs above, featurizer sharing below."""
    grid = _Grid.of(named)
    panel = grid.unit * (grid.depth + 1)
    heights = [grid.height(row, catalogue) for row in grid.rows(named)]
    width, total = max(grid.columns * (panel + 0.2), COLUMN), sum(heights) + LEGEND
    figure, top = Figure(figsize=(width, total)), total
    for row, height in zip(grid.rows(named), heights, strict=True):
        for column, (title, genome) in enumerate(row):
            up, down = _reach(genome, catalogue, grid.unit)
            # Placed by hand: a unit is the same length in every panel and direction.
            tall = grid.unit * (BLOCK_HEIGHT + up + down)
            left = 0.1 + column * (panel + 0.2)
            axes = figure.add_axes((left / width, (top - TITLE - tall) / total, panel / width, tall / total))
            axes.set_xlim(-0.5, grid.depth + 0.5)
            axes.set_ylim(-down, BLOCK_HEIGHT + up)
            axes.set_axis_off()
            without = _draw(axes, genome, catalogue, grid.unit)
            axes.set_title(text(title) + _unlabelled(without), fontsize=7, loc="left", pad=2)
        top -= height
    handles = _legend([genome for _, genome in named], catalogue)
    figure.legend(handles=handles, loc="lower center", frameon=False, ncols=4 if width > 5 else 2, fontsize=6.5)
    return figure


def front_backbones(view: RunView) -> list[list[Named]]:
    """Return the front with its titles, the best in the first objective first, at most eight, page by page."""
    name = view.names[0]
    named = [
        (f"candidate {record.id}: {name} {record.objectives[name]:,.2f}", Genome.parse(record.canonical)) for record in view.front[:DRAWN]
    ]
    return split_into_pages(named, view.catalogue)


def _reach(genome: Genome, catalogue: Catalogue, unit: float) -> tuple[float, float]:
    """Return how far arcs, with a label above, reach beyond the blocks."""
    found = links(genome, catalogue)
    up = max((_height(link.distance) + LABEL / unit for link in found if link.kind == "features"), default=0.0)
    down = max((_height(link.distance) for link in found if link.kind == "featurizer"), default=0.0)
    return up + 0.1, down + 0.1


def _height(distance: int) -> float:
    return float(ARC * distance**0.6)


def _draw(axes: Axes, genome: Genome, catalogue: Catalogue, unit: float) -> list[Link]:
    """Draw blocks and arcs; return the arcs that have no room for a label."""
    complete = catalogue_for(genome, catalogue)
    axes.plot([-0.4, genome.depth + 0.4], [BLOCK_HEIGHT / 2] * 2, color=MUTED, linewidth=0.8, zorder=0)
    for place, (family, liv) in enumerate(zip(families(genome, catalogue), genome.livs, strict=True)):
        colour = FAMILY_COLOURS[family]
        axes.add_patch(Rectangle((place + 0.08, 0), 0.84, BLOCK_HEIGHT, color=colour, linewidth=0, gid=f"liv {place + 1}"))
        _write_name(axes, place + 0.5, text(complete[liv.liv_class].name), family, unit)
    for block in blocks(genome):
        if block.size > 1:
            axes.add_patch(_frame(block.start, block.stop, dashed=block.is_routed))
    found = links(genome, catalogue)
    for link in found:
        colour, dashes = SHARING_LINES[link.kind]
        start, height = _ends(link)
        # The control points of a cubic curve lie a third higher than its top.
        ends = [(link.first + 0.5, start), (link.second + 0.5, start)]
        path = Path([ends[0], *((x, start + height * 4 / 3) for x, _ in ends), ends[1]], [Path.MOVETO, *[Path.CURVE4] * 3])
        axes.add_patch(PathPatch(path, fill=False, edgecolor=colour, linestyle=dashes, linewidth=1, gid=_name(link)))
    return _write_labels(axes, [link for link in found if link.kind == "features"], unit)


def _name(link: Link) -> str:
    return f"{link.kind} {link.first + 1}-{link.second + 1}"


def _ends(link: Link) -> tuple[float, float]:
    """Return where an arc starts, and how far it reaches beyond."""
    return (BLOCK_HEIGHT, _height(link.distance)) if link.kind == "features" else (0.0, -_height(link.distance))


def _write_labels(axes: Axes, above: Sequence[Link], unit: float) -> list[Link]:
    """Write at every arc what it shares; return those without room for it."""
    points = 72 * unit
    font = FontProperties(size=max(4.5, min(5.5, points / 3.2)))
    arcs = [points * arc_points(link.first + 0.5, link.second + 0.5, *_ends(link)) for link in above]
    labels = [", ".join(link.groups) for link in above]
    pad = 2 * WHITE["pad"]
    height = text_to_path.get_text_width_height_descent("lp", font, False)[1] + pad
    places = place_labels(arcs, [(text_to_path.get_text_width_height_descent(each, font, False)[0] + pad, height) for each in labels])
    # On white, since a label may stand on its own arc.
    style: dict[str, Any] = {"ha": "center", "va": "center", "fontproperties": font, "zorder": 4, "bbox": WHITE}
    for link, place, label in zip(above, places, labels, strict=True):
        if place:
            axes.text(place[0] / points, place[1] / points, label, gid=_name(link), **style)
    return [link for link, place in zip(above, places, strict=True) if not place]


def _unlabelled(without: Sequence[Link]) -> str:
    """Return for a title what the first arc without a label shares, and how many more there are."""
    if not without:
        return ""
    first, more = without[0], f", {len(without) - 1} more" if len(without) > 1 else ""
    return f"; LIVs {first.first + 1} and {first.second + 1} share {', '.join(first.groups)}{more}"


def _write_name(axes: Axes, middle: float, name: str, family: str, unit: float) -> None:
    """Write a class upright above the letter of its family, which tells families apart in grey; where there is no room, the letter."""
    ink: dict[str, Any] = {"ha": "center", "va": "center", "color": ink_on(FAMILY_COLOURS[family])}
    # Points to an inch, for letters that fill a third of a block's width.
    size = min(7.0, 72 * unit / 3.2)
    fit = min(size, 72 * unit * (BLOCK_HEIGHT - LETTER) / (0.72 * len(name)))
    if fit < SMALLEST_NAME:
        axes.text(middle, BLOCK_HEIGHT / 2, FAMILY_LETTERS[family], fontsize=1.4 * size, **ink)
        return
    axes.text(middle, LETTER / 2, FAMILY_LETTERS[family], fontsize=size, fontweight="bold", **ink)
    axes.text(middle, (BLOCK_HEIGHT + LETTER) / 2, name, rotation=90, fontsize=fit, **ink)


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
    left = len(rows) - ROWS_DRAWN
    rows = rows[:ROWS_DRAWN]
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
    axes.set_xlabel("LIV in depth order" + (f"; {left:,} more not drawn" if left > 0 else ""))
    handles = [Patch(color=FAMILY_COLOURS[name], label=f"{FAMILY_LETTERS[name]} {name}") for name in FAMILY_COLOURS if name in used]
    figure.legend(handles=handles, frameon=False, loc="outside upper center", ncols=2 if depth < 16 else 3)
    bare(axes)
    return figure
