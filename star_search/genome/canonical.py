"""The canonical form: the one genome that stands for every genome of an architecture."""

from __future__ import annotations

from collections import defaultdict

from star_search.genome.catalogue import Catalogue
from star_search.genome.composition import MIXED, SEQUENTIAL, blocks
from star_search.genome.encoding import ClassGenes, Genome, LIVGenes
from star_search.genome.evolved import catalogue_for, evolved_id, genes_of
from star_search.genome.sharing import Kind, resolve_sharing


def canonical(genome: Genome, catalogue: Catalogue) -> Genome:
    """Return the canonical form of a legal genome.

    What shares nothing is inactive and inactive genes are 1; groups count from 1 by first appearance; classes of the genome's own that
    are in the catalogue become those, equal ones become one, unused ones go, the others count from 1 by first appearance; inside of a
    block of parallel LIVs only the last digit says how it is combined.
    """
    ids, classes = _canonical_classes(genome, catalogue)
    featurizer: dict[int, tuple[int, int]] = {}
    features: dict[int, tuple[int, int]] = {}
    count: dict[tuple[Kind, int], int] = defaultdict(int)
    for group in sorted(resolve_sharing(genome, catalogue).groups, key=lambda group: group.members[0]):
        class_id = ids.get(group.liv_class, group.liv_class)
        count[group.kind, class_id] += 1
        genes = featurizer if group.kind == "featurizer" else features
        genes.update(dict.fromkeys(group.members, (count[group.kind, class_id], group.strategy)))
    livs = tuple(
        LIVGenes(ids.get(liv.liv_class, liv.liv_class), *featurizer.get(position, (1, 1)), *features.get(position, (1, 1)))
        for position, liv in enumerate(genome.livs)
    )
    return Genome(livs, _canonical_composition(genome), classes)


def _canonical_classes(genome: Genome, catalogue: Catalogue) -> tuple[dict[int, int], tuple[ClassGenes, ...]]:
    """Return the canonical id of every class that the genome brings and uses, and the genes of those that the catalogue lacks."""
    complete, base = catalogue_for(genome, catalogue), [catalogue[class_id] for class_id in catalogue.ids if class_id < evolved_id(0)]
    ids: dict[int, int] = {}
    kept: list[ClassGenes] = []
    for class_id in dict.fromkeys(liv.liv_class for liv in genome.livs if liv.liv_class >= evolved_id(0)):
        own = complete[class_id]
        twin = next((each.id for each in base if own.same_operator(each)), None)
        if twin is None:
            genes = genes_of(own)
            if genes not in kept:
                kept.append(genes)
            twin = evolved_id(kept.index(genes))
        ids[class_id] = twin
    return ids, tuple(kept)


def _canonical_composition(genome: Genome) -> tuple[int, ...]:
    found = blocks(genome)
    if len(found) == genome.depth:
        return ()
    digits: list[int] = []
    for block in found:
        inner = [MIXED] * (block.size - 2)
        digits += [SEQUENTIAL, *inner, block.kind] if block.size > 1 else [SEQUENTIAL]
    return tuple(digits)
