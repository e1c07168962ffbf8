"""`STARBackbone(dim, depth, genome, configs)`: the backbone on floats, for any task that brings its own embedding.

Shapes: B batch, T tokens, D width, G channels of a feature group.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from star_search.errors import InputError
from star_search.genome.accounting import Dimensions
from star_search.genome.catalogue import Catalogue, as_catalogue
from star_search.genome.encoding import GENES_PER_LIV, Genome
from star_search.liv.featurizers import build_group
from star_search.liv.initialisation import Scheme, initialise_groups
from star_search.model.backbone import Backbone
from star_search.model.liv_config import LIVConfig


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
        if configs is not None and not configs:
            raise InputError("configs must hold at least one LIV class; leave it out for the catalogue's")
        table = base if configs is None else Catalogue("configs", 1, {key: config.find(base, key) for key, config in configs.items()})
        super().__init__(_repeated(_read(genome), depth), dim, table, **options)


class Featurizer(nn.Module):
    """The feature groups of a LIV class, computed from x: by name, q and k before their rotation.

    Raises:
        InputError: for a config that no class has, or a width that its heads do not divide.
    """

    def __init__(
        self,
        config: LIVConfig,
        input_dim: int,
        catalogue: Catalogue | str = "star",
        initialisation: Scheme = "residual_scaled",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        base = as_catalogue(catalogue)
        sizes = Dimensions(config.find(base, config.featurizer_class), input_dim)
        self.groups = nn.ModuleDict({name: build_group(sizes, name) for name in sizes.liv_class.groups})
        initialise_groups(self.groups, initialisation, generator)

    def forward(self, x_BTD: Tensor) -> dict[str, Tensor]:
        """Return every group, [B, T, G] where the input makes it; context groups first."""
        return {name: group(x_BTD) for name, group in self.groups.items()}


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
    if depth < 1:
        raise InputError(f"the depth must be at least 1, got {depth}")
    if depth % genome.depth:
        raise InputError(f"the genome has {genome.depth} LIVs, which neither equals nor divides the depth {depth}")
    times = depth // genome.depth
    warnings.warn(f"the genome of {genome.depth} LIVs is repeated {times} times to depth {depth}", stacklevel=3)
    return replace(genome, livs=genome.livs * times, composition=genome.composition * times)
