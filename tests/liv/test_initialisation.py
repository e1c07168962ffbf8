"""Initialisation: every weight is drawn, from the distribution its row of the table names."""

import math

import pytest
import torch
from torch.nn import functional

from helpers import STAR, class_parameters, lone
from star_search.genome.encoding import Genome
from star_search.liv.initialisation import Scheme
from star_search.model.backbone import Backbone

CLASSES = class_parameters()


def built(genome: str, scheme: Scheme = "residual_scaled", width: int = 256) -> Backbone:
    return Backbone(Genome.parse(genome), width, STAR, initialisation=scheme, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("class_id", CLASSES)
@pytest.mark.parametrize("scheme", ["residual_scaled", "xavier", "kaiming"])
def test_every_parameter_is_drawn_from_the_generator(class_id: int, scheme: Scheme) -> None:
    assert torch.empty(1).isnan().all(), "fresh memory must be poisoned for this test to see a parameter that nobody drew"
    first, second = built(lone(class_id), scheme, 64), built(lone(class_id), scheme, 64)
    for (name, parameter), again in zip(first.named_parameters(), second.parameters(), strict=True):
        assert parameter.isfinite().all(), name
        assert torch.equal(parameter, again), name


def test_output_maps_shrink_with_depth() -> None:
    for depth in (1, 8):
        for liv in built("-".join(["11111", "91111", "71111", "51111"] * depth)).livs:
            fan_in = liv.output.weight.shape[1]
            expected = fan_in**-0.5 / math.sqrt(2 * 4 * depth)
            assert float(liv.output.weight.detach().std()) == pytest.approx(expected, rel=0.05)
            assert float(liv.featurizer["v"].weight.detach().std()) == pytest.approx(256**-0.5, rel=0.05)


@pytest.mark.parametrize(("scheme", "bound"), [("xavier", math.sqrt(6 / 512)), ("kaiming", math.sqrt(3 / 256))])
def test_named_schemes_are_torchs(scheme: Scheme, bound: float) -> None:
    liv = built("11111-11111", scheme).livs[0]
    for weight in (liv.featurizer["q"].weight, liv.output.weight):
        assert bound * 0.99 < float(weight.detach().abs().max()) <= bound
        assert float(weight.detach().std()) == pytest.approx(bound / math.sqrt(3), rel=0.02)


@pytest.mark.parametrize("class_id", [5, 6])
def test_steps_and_rates_start_where_mamba_2_starts_them(class_id: int) -> None:
    group = built(lone(class_id)).livs[0].group("A")
    steps, rates = functional.softplus(group.bias.detach()), group.rate.detach().exp()
    assert float(steps.min()) >= 1e-3 * 0.999
    assert float(steps.max()) <= 1e-1 * 1.001
    assert float(rates.min()) >= 1
    assert float(rates.max()) <= 16.001
    assert steps.unique().numel() == steps.numel()


def test_implicit_kernels_start_fading_over_one_to_1024_tokens() -> None:
    decay = functional.softplus(built("81111").livs[0].group("kernel").decay.detach())
    assert float(decay.max()) == pytest.approx(1, rel=1e-5)
    assert float(decay.min()) == pytest.approx(1 / 1024, rel=1e-3)
    ratios = decay[:-1] / decay[1:]
    assert float(ratios.max()) == pytest.approx(float(ratios.min()), rel=1e-2)


def test_implicit_kernels_start_with_unit_energy_at_every_rate_of_fading() -> None:
    kernel = built("81111").livs[0].group("kernel").kernel(8192).detach()
    energy = kernel.square().sum(1)
    assert float(energy.mean()) == pytest.approx(1, rel=0.1)
    for quarter in energy.chunk(4):
        assert float(quarter.mean()) == pytest.approx(1, rel=0.3)
