"""Motifs over the generations (STAR figure 5.5): which classes, how many links, how far apart."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from math import nan
from statistics import fmean, quantiles
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from star_search.analysis.figures.style import ORDERED, PAGE, SHARING_LINES, SHARING_NAMES, over_generations, plain, text
from star_search.analysis.motifs import class_names, links, population_of
from star_search.analysis.run_view import RunView
from star_search.analysis.strips import FAMILY_COLOURS, FAMILY_LETTERS, families
from star_search.genome.encoding import Genome

CLASSES_DRAWN = 20


def draw_motifs(view: RunView) -> Figure:
    """Return three panels over the generations' populations: LIVs of every class per genome, links per genome, distance of links."""
    populations = {each.generation: population_of(view, each) for each in view.generations}
    figure = Figure(figsize=(PAGE, 2.9), layout="constrained")
    classes, connectivity, distance = figure.subplots(1, 3, width_ratios=(1.6, 1, 1))
    _draw_classes(figure, classes, view, populations)
    _draw_links(connectivity, distance, view, populations)
    for axes in (classes, connectivity, distance):
        over_generations(axes, list(populations))
    figure.legend(*connectivity.get_legend_handles_labels(), loc="outside upper right", frameon=False, ncols=2)
    return figure


def class_counts(view: RunView, populations: dict[int, list[Genome]]) -> dict[tuple[str, str], list[float]]:
    """Return {(family, class): LIVs per genome in every generation}, the commonest of the last first, families together."""
    counts = [_count(view, genomes) for genomes in populations.values()]
    sizes = [max(1, len(genomes)) for genomes in populations.values()]
    keys = dict.fromkeys(key for count in counts for key in count)
    rows = {key: [count[key] / size for count, size in zip(counts, sizes, strict=True)] for key in keys}
    order = {name: place for place, name in enumerate(FAMILY_LETTERS)}
    commonest = sorted(rows, key=lambda key: -sum(rows[key]))[:CLASSES_DRAWN]
    return {key: rows[key] for key in sorted(commonest, key=lambda key: (order[key[0]], -rows[key][-1], key[1]))}


def _count(view: RunView, genomes: list[Genome]) -> Counter[tuple[str, str]]:
    pairs = (zip(families(genome, view.catalogue), class_names(genome, view.catalogue), strict=True) for genome in genomes)
    return Counter(chain.from_iterable(pairs))


def _draw_classes(figure: Figure, axes: Axes, view: RunView, populations: dict[int, list[Genome]]) -> None:
    rows = class_counts(view, populations)
    generations = list(populations)
    extent = (generations[0] - 0.5, generations[-1] + 0.5, len(rows) - 0.5, -0.5)
    image = axes.imshow(np.array(list(rows.values())), cmap=ORDERED, aspect="auto", interpolation="nearest", extent=extent, vmin=0)
    axes.set_yticks(range(len(rows)), [f"{FAMILY_LETTERS[family]}  {text(name)}" for family, name in rows])
    axes.tick_params(axis="y", length=0, labelsize=6 if len(rows) > 12 else 7)
    for tick, (family, _) in zip(axes.get_yticklabels(), rows, strict=True):
        tick.set_color(_dark(FAMILY_COLOURS[family]))
    figure.colorbar(image, ax=axes, label="LIVs per genome")


def _dark(colour: str) -> tuple[float, float, float]:
    """Return a family's colour dark enough for letters on white."""
    red, green, blue = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    return 0.7 * red, 0.7 * green, 0.7 * blue


def _draw_links(connectivity: Axes, distance: Axes, view: RunView, populations: dict[int, list[Genome]]) -> None:
    for kind, (colour, dashes) in SHARING_LINES.items():
        found = {
            generation: [link.distance for genome in genomes for link in links(genome, view.catalogue) if link.kind == kind]
            for generation, genomes in populations.items()
        }
        per_genome = [len(found[generation]) / max(1, len(genomes)) for generation, genomes in populations.items()]
        # Dots, since a generation alone, or between two without a link, has no line.
        dots: dict[str, Any] = {"color": colour, "linestyle": dashes, "marker": "o", "markersize": 2.5}
        connectivity.plot(list(populations), per_genome, label=SHARING_NAMES[kind], **dots)
        some = {generation: sorted(distances) for generation, distances in found.items() if distances}
        lower, mean, upper = (
            [measure(some[generation]) if generation in some else nan for generation in populations] for measure in (_lower, fmean, _upper)
        )
        distance.plot(list(populations), mean, **dots)
        distance.fill_between(list(populations), lower, upper, color=colour, alpha=0.15, linewidth=0)
    connectivity.set_ylabel("links per genome")
    connectivity.set_ylim(bottom=0)
    distance.set_ylabel("distance of linked LIVs\n(mean, quartiles)")
    distance.set_ylim(bottom=0)
    for axes in (connectivity, distance):
        plain(axes)


def _lower(values: list[int]) -> float:
    return quantiles(values, n=4, method="inclusive")[0] if len(values) > 1 else values[0]


def _upper(values: list[int]) -> float:
    return quantiles(values, n=4, method="inclusive")[2] if len(values) > 1 else values[0]
