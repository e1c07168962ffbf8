"""A genome made deeper: repeated as a whole, or every LIV in its place."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

from star_search.errors import InputError, check_word
from star_search.genome.catalogue import Catalogue, as_catalogue
from star_search.genome.composition import blocks
from star_search.genome.encoding import Genome, LIVGenes
from star_search.genome.rules import Rules

Scale = Literal["stack", "stretch"]


def read_scale(text: str) -> Scale:
    """Return what `--scale` says.

    Raises:
        InputError: for another word.
    """
    found: Scale = check_word(text, get_args(Scale), "--scale")
    return found


def scaled(genome: Genome, depth: int, scale: Scale, catalogue: Catalogue | str = "star") -> Genome:
    """Return the genome at `depth`, a multiple of its own, in canonical form.

    `stack` repeats the whole genome; `stretch` repeats every LIV in its place, or every block of parallel LIVs. The k-th copies of LIVs
    that share go on sharing with each other, and with no other copy: sharing reaches as far as before, in each copy.

    Raises:
        InputError: for an illegal genome, or a depth that is no multiple of its depth.
    """
    table = as_catalogue(catalogue)
    Rules.of(table, genome.layout).check(genome)
    if depth < 1 or depth % genome.depth:
        raise InputError(f"the genome has {genome.depth} LIVs and is to have {depth}; a genome is scaled to a multiple of its depth")
    order = _order(genome, depth // genome.depth, scale)
    composition = tuple(genome.composition[position] for position, _ in order) if genome.composition else ()
    livs = tuple(_copied(genome.livs[position], copy, genome.depth) for position, copy in order)
    return replace(genome, livs=livs, composition=composition).canonical(table)


def _order(genome: Genome, times: int, scale: Scale) -> list[tuple[int, int]]:
    """Return (position in the genome, number of the copy) of every LIV of the result."""
    if scale == "stack":
        return [(position, copy) for copy in range(times) for position in range(genome.depth)]
    return [(position, copy) for block in blocks(genome) for copy in range(times) for position in block.positions]


def _copied(liv: LIVGenes, copy: int, groups: int) -> LIVGenes:
    """Return a LIV in the groups of its copy; `groups` is as many as a legal genome has, so that no two copies meet."""
    return liv._replace(featurizer_group=liv.featurizer_group + copy * groups, feature_group=liv.feature_group + copy * groups)
