"""Where the labels of arcs stand: none on another, nor on an arc that is not its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
# Points along an arc; what stays free around a label, in the unit of the arcs.
SAMPLES, MARGIN = 401, 0.8


def arc_points(first: float, second: float, base: float, height: float) -> Points:
    """Return points (401, 2) along an arc between two places on a line at `base`: a cubic curve that reaches `height` beyond it."""
    t = np.linspace(0, 1, SAMPLES)
    return np.stack([first + (second - first) * t**2 * (3 - 2 * t), base + 4 * height * t * (1 - t)], axis=1)


def place_labels(arcs: Sequence[Points], sizes: Sequence[tuple[float, float]]) -> list[tuple[float, float] | None]:
    """Return the centre of every arc's label, whose width and height are given: above the arc or on it; None where there is no room.

    Arcs stand on a line; one size of plane for all, such as points. Short arcs come first, since they have the least choice.
    """
    places: list[tuple[float, float] | None] = [None] * len(arcs)
    taken: list[Points] = []
    for number in sorted(range(len(arcs)), key=lambda each: np.ptp(arcs[each][:, 0])):
        foreign = np.concatenate([np.empty((0, 2)), *(arc for other, arc in enumerate(arcs) if other != number)])
        half = np.array(sizes[number]) / 2
        for centre in _choices(arcs[number], half):
            box = np.stack([centre - half - MARGIN, centre + half + MARGIN])
            is_crossed = ((foreign > box[0]) & (foreign < box[1])).all(axis=1).any()
            if not is_crossed and not any((box[0] < other[1]).all() and (other[0] < box[1]).all() for other in taken):
                places[number] = (float(centre[0]), float(centre[1]))
                taken.append(box)
                break
    return places


def _choices(arc: Points, half: Points) -> list[Points]:
    """Return where an arc's label may stand, best first."""
    middle = arc[SAMPLES // 2]
    above, aside = middle + np.array((0, half[1] + MARGIN)), np.array((half[0], 0))
    on_arc = sorted(arc[::4], key=lambda point: abs(float(point[0] - middle[0])))
    return [above, *(point for point in on_arc if point[1] > arc[0, 1] + half[1] + 2 * MARGIN), above - aside, above + aside]
