"""Genomes and models that several test folders use."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from star_search.config import SpaceConfig
from star_search.genome.catalogue import Catalogue, load_catalogue
from star_search.genome.encoding import Genome, format_digit
from star_search.genome.genes import REPARAMETRISED
from star_search.genome.space import SearchSpace
from star_search.liv.operator import LIV
from star_search.model.backbone import Backbone

STAR = load_catalogue("star")
WIDTH = 64


def class_parameters() -> list[object]:
    """Return every built class of catalogue `star` as a pytest parameter; a class that gets built joins by itself."""
    return [pytest.param(class_id, id=STAR[class_id].name) for class_id in STAR.ids]


def lone(class_id: int) -> str:
    """Return the genome of one LIV that shares nothing."""
    return f"{format_digit(class_id)}1111"


def sharing_genomes() -> list[str]:
    """Return genomes in which LIVs share, for every built class and feature strategy, and sampled ones of several depths.

    In the written ones the second LIV takes features from the first and is itself the first of a featurizer group.
    """
    written = []
    for class_id in STAR.ids:
        digit = format_digit(class_id)
        for strategy in STAR[class_id].feature_strategies[1:]:
            written.append(f"{digit}111{strategy}-91111-{digit}121{strategy}-{digit}1211")
        written.append(f"{digit}1211-{digit}1211")
    composed = ["11113-71111-11113-91111|1231", "51112-71211-51112-71211|1313", "21111-61111-i1111-91111-f1111|12223"]
    return written + composed + [sampled(depth, groups, seed).format() for depth in (3, 5, 8) for groups in (1, 2) for seed in (0, 1)]


def sampled(depth: int, groups: int, seed: int) -> Genome:
    """Draw a legal genome over every built class."""
    space = SearchSpace.from_config(SpaceConfig(depth=depth, width=WIDTH, groups=groups))
    return space.sample(np.random.default_rng(seed)).genome


def lively_backbone(
    genome: Genome | str, width: int = WIDTH, dtype: torch.dtype = torch.float32, seed: int = 0, catalogue: Catalogue = STAR
) -> Backbone:
    """Return a backbone far from its start: output maps of full size, norms that are not ones, short kernels that are not zero."""
    genome = Genome.parse(genome) if isinstance(genome, str) else genome
    generator = torch.Generator().manual_seed(seed)
    backbone = Backbone(genome, width, catalogue, generator=generator)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.mul_(1 + 0.3 * torch.randn(parameter.shape, generator=generator))
        for liv in backbone.livs:
            next(liv.output.parameters()).mul_((2 * genome.depth) ** 0.5)
    return backbone.to(dtype).eval()


def lively_liv(class_id: int, width: int = WIDTH, dtype: torch.dtype = torch.float32, seed: int = 0) -> LIV:
    """Return one LIV of a class, far from its start."""
    return lively_backbone(lone(class_id), width, dtype, seed).livs[0]


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return standard normal numbers, the same ones in every dtype."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def relative(value: Tensor, truth: Tensor) -> float:
    """Return the norm of the error over the norm of the truth."""
    return float((value.detach().double() - truth.detach().double()).norm() / truth.detach().double().norm())


def uses_fft(genome: Genome | str) -> bool:
    """Whether a class of the genome has an implicit kernel, whose fast form goes through an FFT."""
    genome = Genome.parse(genome) if isinstance(genome, str) else genome
    classes = [STAR[liv.liv_class] for liv in genome.livs]
    return any(group.parametrisation == REPARAMETRISED for each in classes for group in each.groups.values())
