"""Labels of arcs in drawings of backbones: measured in the drawn figure."""

import re
from itertools import combinations, pairwise

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.transforms import Bbox

from helpers import STAR
from star_search.analysis.figures.arc_labels import arc_points, place_labels
from star_search.analysis.figures.backbones import draw_backbones
from star_search.analysis.motifs import links
from star_search.genome.encoding import Genome, LIVGenes


def sharing_genome(depth, chance, seed):
    """Return a legal genome of attention that shares feature groups, as many of its LIVs as chance says."""
    random = np.random.default_rng(seed)
    strategies = {(kind, group): random.choice(STAR[kind].feature_strategies[1:]) for kind in (1, 2) for group in range(1, depth + 1)}
    livs = []
    for kind in random.integers(1, 3, depth):
        shares = random.random() < chance
        group = int(random.integers(1, depth // 6 + 2))
        livs.append(LIVGenes(int(kind), 1, 1, group, int(strategies[int(kind), group]) if shares else 1))
    return Genome(tuple(livs))


def boxes_and_arcs(figure, axes):
    """Return in pixels the boxes of labels and the points of arcs, by the names of arcs."""
    renderer = figure.canvas.get_renderer()
    boxes = {
        each.get_gid(): Bbox.union([each.get_window_extent(renderer), each.get_bbox_patch().get_window_extent(renderer)])
        for each in axes.texts
        if each.get_gid()
    }
    arcs = {}
    for patch in axes.patches:
        gid = patch.get_gid() or ""
        if gid.startswith("features"):
            (polygon,) = patch.get_path().transformed(patch.get_transform()).to_polygons(closed_only=False)
            arcs[gid] = np.concatenate([np.linspace(a, b, 20) for a, b in pairwise(polygon)])
    return boxes, arcs


@pytest.mark.parametrize(("depth", "chance"), [(8, 0.8), (24, 0.6), (48, 0.3), (48, 0.8)])
def test_labels_cover_neither_each_other_nor_foreign_arcs_nor_blocks(depth, chance):
    named = [(str(seed), sharing_genome(depth, chance, seed)) for seed in range(6)]
    figure = draw_backbones(named, STAR)
    figure.dpi = 300
    FigureCanvasAgg(figure).draw()
    shown = 0
    for axes, (title, genome) in zip(figure.axes, named, strict=True):
        boxes, arcs = boxes_and_arcs(figure, axes)
        shared = [link for link in links(genome, STAR) if link.kind == "features"]
        assert len(arcs) == len(shared)
        left = len(shared) - len(boxes)
        found = re.fullmatch(rf"{title}(?:; LIVs (\d+) and (\d+) share [\w, ]+?(?:, (\d+) more)?)?", axes.get_title(loc="left"))
        assert (found[1] is not None, int(found[3] or 0)) == (left > 0, max(0, left - 1))
        assert not left or f"features {found[1]}-{found[2]}" in arcs.keys() - boxes.keys()
        assert not any(box.overlaps(other) for box, other in combinations(boxes.values(), 2))
        for name, box in boxes.items():
            assert box.y0 > axes.transData.transform((0, 1.9))[1] and box.y1 < axes._left_title.get_window_extent().y0
            touched = {gid for gid, points in arcs.items() if ((points > box.min) & (points < box.max)).all(axis=1).any()}
            assert touched <= {name}, f"the label of {name} of candidate {title} on {touched}"
        shown += len(boxes)
    assert shown >= 10


def test_a_label_stands_above_its_arc_where_that_is_free_else_on_it_else_nowhere():
    outer, inner = arc_points(0, 100, 0, 50), arc_points(16, 84, 0, 46)
    above, beside = place_labels([outer, inner], [(20, 6)] * 2)
    assert above == pytest.approx((50, 53.8))
    assert min(np.hypot(*(inner - beside).T)) < 1e-9 and min(np.hypot(*(outer - beside).T)) > 3
    assert place_labels([outer, inner], [(200, 60)] * 2)[1] is None
