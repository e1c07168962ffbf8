"""Genomes and models that several test folders use."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from star_search.config import SpaceConfig
from star_search.genome.catalogue import Catalogue, load_catalogue
from star_search.genome.encoding import Genome, format_digit
from star_search.genome.evolved import catalogue_for, evolved_id
from star_search.genome.genes import REPARAMETRISED
from star_search.genome.liv_class import LIVClass
from star_search.genome.space import SearchSpace
from star_search.liv.convolution import LONGEST_SHIFTED
from star_search.liv.operator import LIV
from star_search.model.backbone import Backbone

STAR = load_catalogue("star")
WIDTH = 64


def class_parameters(catalogue: Catalogue = STAR) -> list[object]:
    """Return every class of a catalogue as a pytest parameter, those of `star` once: a class that is added joins by itself."""
    return [
        pytest.param(class_id, id=each.name) for class_id, each in catalogue.classes.items() if catalogue is STAR or class_id not in STAR
    ]


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
    return (
        written
        + composed
        + [sampled(depth, groups, seed).format() for depth in (3, 5, 8) for groups in (1, 2) for seed in (0, 1)]
        + [whole_space_genome(4, seed).format() for seed in range(6)]
    )


def whole_space(depth: int, width: int = WIDTH, evolved: int = 2) -> SearchSpace:
    """Return the space of everything: every class, sharing, composition and classes of the genome's own."""
    levels = ["backbone", "operator", "featurizer"]
    return SearchSpace.from_config(SpaceConfig(depth=depth, width=width, composition=True, levels=levels, evolved_classes=evolved))


def whole_space_genome(depth: int, seed: int, evolved: int = 2) -> Genome:
    """Draw a genome of the whole space in which every second LIV is of a class of its own."""
    space, random_state = whole_space(depth, evolved=evolved), np.random.default_rng(seed)
    values = space.sample(random_state).genome.integers()
    for position in range(1, depth, 2):
        values[space.layout.unit_slice(position).start] = evolved_id(position // 2 % evolved)
    return space.repair(space.read(values), random_state).genome


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


def lively_liv(class_id: int, width: int = WIDTH, dtype: torch.dtype = torch.float32, seed: int = 0, catalogue: Catalogue = STAR) -> LIV:
    """Return one LIV of a class, far from its start."""
    return lively_backbone(lone(class_id), width, dtype, seed, catalogue).livs[0]


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return standard normal numbers, the same ones in every dtype."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def relative(value: Tensor, truth: Tensor) -> float:
    """Return the norm of the error over the norm of the truth."""
    return float((value.detach().double() - truth.detach().double()).norm() / truth.detach().double().norm())


def uses_fft(genome: Genome | str, catalogue: Catalogue = STAR) -> bool:
    """Whether the fast form of a class of the genome goes through an FFT: implicit and long kernels, and those of S4D."""
    genome = Genome.parse(genome) if isinstance(genome, str) else genome
    classes = catalogue_for(genome, catalogue)
    return any(_uses_fft(classes[liv.liv_class]) for liv in genome.livs)


def _uses_fft(liv_class: LIVClass) -> bool:
    implicit = "kernel" in liv_class.groups and liv_class.groups["kernel"].parametrisation == REPARAMETRISED
    return implicit or liv_class.is_complex or liv_class.fields.get("kernel_length", 0) > LONGEST_SHIFTED
