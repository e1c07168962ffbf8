"""How far two genomes are from each other."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, zip_longest

from star_search.genome.composition import SEQUENTIAL
from star_search.genome.encoding import Genome


def hamming(first: Genome, second: Genome) -> int:
    """Return in how many genes two genomes of one depth differ.

    Composition digits that only one of them has are held against LIVs in sequence; classes that the other lacks differ in every gene.
    """
    genes = zip(chain.from_iterable(first.livs), chain.from_iterable(second.livs), strict=True)
    digits = zip_longest(first.composition, second.composition, fillvalue=SEQUENTIAL)
    classes = zip_longest(_class_genes(first), _class_genes(second))
    return sum(one != other for one, other in chain(genes, digits, classes))


def _class_genes(genome: Genome) -> Iterator[int]:
    return chain.from_iterable(each.integers() for each in genome.classes)
