"""`STARBackbone(dim, depth, genome, configs)`: the backbone on floats, for any task that brings its own embedding."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

from star_search.errors import InputError, did_you_mean
from star_search.genome.catalogue import Catalogue, as_catalogue
from star_search.genome.encoding import GENES_PER_LIV, Genome
from star_search.genome.genes import DENSE, DIAGONAL, GROUPED, LOW_RANK, PER_CHANNEL, SEMI_SEPARABLE, TOEPLITZ, OperatorGenome
from star_search.genome.liv_class import LIVClass
from star_search.model.backbone import Backbone

NONLINEARITY_NAMES = {None: 1, "none": 1, "softmax": 2, "relu": 3, "silu": 4, "swish": 4, "gelu": 5}


class TokenMixingStructure(IntEnum):
    """The token mixing digit of an operator genome."""

    DIAGONAL = DIAGONAL
    LOW_RANK = LOW_RANK
    SCALED_TOEPLITZ = TOEPLITZ
    SEQUENTIAL_SEMI_SEPARABLE = SEMI_SEPARABLE


class ChannelMixingStructure(IntEnum):
    """The channel mixing digit of an operator genome."""

    DIAGONAL = PER_CHANNEL
    DENSE = DENSE
    GROUPED = GROUPED


@dataclass(frozen=True)
class LIVConfig:
    """An operator genome by names.

    Raises:
        InputError: for an unknown nonlinearity.
    """

    featurizer_class: int
    token_mixing: TokenMixingStructure
    channel_mixing: ChannelMixingStructure
    sparsity_mask: bool = False
    nonlinearity: str | None = None

    def __post_init__(self) -> None:
        if self.nonlinearity not in NONLINEARITY_NAMES:
            names = [name for name in NONLINEARITY_NAMES if name]
            raise InputError(f"unknown nonlinearity '{self.nonlinearity}'{did_you_mean(str(self.nonlinearity), names)}")

    @property
    def operator(self) -> OperatorGenome:
        """The five digits."""
        sparsity = 2 if self.sparsity_mask else 1
        nonlinearity = NONLINEARITY_NAMES[self.nonlinearity]
        return OperatorGenome(self.featurizer_class, int(self.token_mixing), sparsity, nonlinearity, int(self.channel_mixing))


class STARBackbone(Backbone):
    """A backbone of `depth` LIVs on floats [B, T, dim].

    Args:
        dim: width of the residual stream.
        depth: number of LIVs; a shorter genome whose length divides it is repeated, with a warning.
        genome: a `Genome`, its text, or a list of five integers per LIV.
        configs: operator genomes by class id; without it, the catalogue's.

    Raises:
        InputError: for an illegal genome, a length that does not divide `depth`, or a config that no class has.
    """

    def __init__(
        self,
        dim: int,
        depth: int,
        genome: Genome | str | Sequence[Sequence[int]],
        configs: Mapping[int, LIVConfig] | None = None,
        catalogue: Catalogue | str = "star",
        **options: Any,
    ) -> None:
        base = as_catalogue(catalogue)
        table = base if configs is None else Catalogue("configs", 1, {key: _find(base, key, config) for key, config in configs.items()})
        super().__init__(_repeated(_read(genome), depth), dim, table, **options)


def _read(genome: Genome | str | Sequence[Sequence[int]]) -> Genome:
    if isinstance(genome, Genome):
        return genome
    if isinstance(genome, str):
        return Genome.parse(genome)
    for position, liv in enumerate(genome, 1):
        if len(liv) != GENES_PER_LIV:
            raise InputError(f"LIV {position} of the genome has {len(liv)} integers; {GENES_PER_LIV} are needed")
    return Genome.from_integers(gene for liv in genome for gene in liv)


def _repeated(genome: Genome, depth: int) -> Genome:
    if genome.depth == depth:
        return genome
    if depth % genome.depth:
        raise InputError(f"the genome has {genome.depth} LIVs, which neither equals nor divides the depth {depth}")
    times = depth // genome.depth
    warnings.warn(f"the genome of {genome.depth} LIVs is repeated {times} times to depth {depth}", stacklevel=3)
    return replace(genome, livs=genome.livs * times, composition=genome.composition * times)


def _find(base: Catalogue, class_id: int, config: LIVConfig) -> LIVClass:
    for liv_class in base.classes.values():
        if liv_class.operator == config.operator and not liv_class.differential:
            return replace(liv_class, id=class_id)
    known = ", ".join(f"{each.operator.format()} ({each.name})" for each in base.classes.values() if not each.differential)
    raise InputError(f"config {class_id} asks for operator {config.operator.format()}, which no class of {base.name} has: {known}")
