"""Sizes that no genome of a search space is below, in closed form; sharing is counted as if all that can be shared were."""

from __future__ import annotations

from collections.abc import Mapping

from star_search.genome.accounting import CACHE_BYTES_PER_ELEMENT, Accounting, Dimensions, Residual
from star_search.genome.encoding import Genome, LIVGenes
from star_search.genome.space import SearchSpace


def least_parameters(space: SearchSpace, residual: Residual) -> int:
    """Return a lower bound on the parameters of a genome, not always reached; classes that evolve count as if they had none.

    What is never shared stands at every depth. The first LIV of a class has nobody to share with, so feature groups count once, and where
    a mixer is asked for, those of a mixer do.
    """
    plain = 0
    if not space.layout.evolved:
        sizes = {class_id: Dimensions(space.rules.catalogue[class_id], space.width) for class_id in space.rules.classes}
        own = {class_id: each.own_parameters for class_id, each in sizes.items()}
        groups = {class_id: sum(map(each.group_parameters, each.liv_class.groups)) for class_id, each in sizes.items()}
        once = min(groups[class_id] for class_id in _some(space))
        shared = _at_every_depth(space, own) + once
        plain = shared if space.rules.sharing else _at_every_depth(space, {key: own[key] + groups[key] for key in own})
    return plain + (space.depth + 1) * space.width + (space.depth if residual == "scaled" else 0)


def least_cache_bytes(space: SearchSpace, length: int) -> int:
    """Return a lower bound on the bytes held after `length` tokens, counted as `least_parameters` counts."""
    if space.layout.evolved:
        return 0
    alone = {class_id: Genome((LIVGenes(class_id, 1, 1, 1, 1),)) for class_id in space.rules.classes}
    held = {key: sum(Accounting.of(each, space.width, space.rules.catalogue).liv_cache_elements(length)) for key, each in alone.items()}
    elements = min(held[class_id] for class_id in _some(space)) if space.rules.sharing else _at_every_depth(space, held)
    return CACHE_BYTES_PER_ELEMENT * elements


def _some(space: SearchSpace) -> tuple[int, ...]:
    """Return classes of which every genome of the space has one."""
    return space.rules.mixers if space.rules.minimum_mixers else space.rules.classes


def _at_every_depth(space: SearchSpace, per_class: Mapping[int, int]) -> int:
    """Return the least sum over the depth, as many mixers among the LIVs as are asked for."""
    mixers = space.rules.minimum_mixers
    least_mixer = min((per_class[class_id] for class_id in space.rules.mixers), default=0)
    return mixers * least_mixer + (space.depth - mixers) * min(per_class.values())
