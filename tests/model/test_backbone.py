"""The backbone: pre-norm residual stream, scaled residuals, initialisation."""

import pytest
import torch

from helpers import STAR, lively_backbone, noise, relative
from star_search.genome.encoding import Genome
from star_search.liv.operator import NORM_EPSILON
from star_search.model.backbone import Backbone

MIXED = "11112-91111-11212-51111-11211"


def rms_norm(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return x / (x.square().mean(-1, keepdim=True) + NORM_EPSILON).sqrt() * weight


def build(residual: str, seed: int = 0) -> Backbone:
    return Backbone(Genome.parse(MIXED), 64, STAR, residual=residual, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("residual", ["plain", "scaled"])
def test_backbone_is_its_equation(residual: str) -> None:
    """`x = x + scale * LIV(RMSNorm(x))`, and RMSNorm at the end; LIV 3 takes k and v of LIV 1."""
    backbone, x = build(residual).double(), noise(2, 9, 64, dtype=torch.float64)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.mul_(1 + 0.3 * torch.randn_like(parameter))
        expected, features = x, {}
        for position, liv in enumerate(backbone.livs):
            y, features[position] = liv(rms_norm(expected, backbone.norms[position]), features[0] if position == 2 else None)
            expected = expected + y * (backbone.scales[position] if residual == "scaled" else 1)
        assert relative(backbone(x), rms_norm(expected, backbone.norms[5])) < 1e-13


def test_scaled_residuals_add_depth_parameters_start_at_one_and_learn() -> None:
    plain, scaled = build("plain"), build("scaled")
    x = noise(2, 9, 64)
    count = [sum(parameter.numel() for parameter in backbone.parameters()) for backbone in (plain, scaled)]
    assert count[1] - count[0] == 5
    assert count == [plain.accounting.parameters, scaled.accounting.parameters]
    assert torch.equal(plain(x), scaled(x))
    (scaled(x) * noise(2, 9, 64, seed=1)).sum().backward()
    assert (scaled.scales.grad.abs() > 1e-6).all()


def test_scaled_residuals_are_decoded_too() -> None:
    backbone, x = build("scaled").double(), noise(2, 9, 64, dtype=torch.float64)
    with torch.no_grad():
        backbone.scales.copy_(torch.tensor([0.5, -1.0, 2.0, 3.0, 0.1]))
        expected, cache = backbone(x), backbone.init_cache(2, 9)
        read = [*backbone.prefill(x[:, :4], cache).unbind(1), *(backbone.step(x[:, t], cache) for t in range(4, 9))]
        assert relative(torch.stack(read, 1), expected) < 1e-12


def test_batches_of_any_size_give_each_sequence_its_own_output() -> None:
    backbone, x = lively_backbone(MIXED, dtype=torch.float64), noise(5, 20, 64, dtype=torch.float64)
    together = backbone(x)
    for row in range(5):
        assert relative(backbone(x[row : row + 1])[0], together[row]) < 1e-12


def test_a_longer_sequence_begins_with_the_outputs_of_a_shorter_one() -> None:
    backbone, x = lively_backbone("-".join(f"{c}1111" for c in range(1, 10)), dtype=torch.float64), noise(1, 200, 64, dtype=torch.float64)
    whole = backbone(x)
    for length in (1, 2, 63, 64, 65, 129):
        assert relative(backbone(x[:, :length]), whole[:, :length]) < 1e-11


def test_initialisation_schemes_differ_in_the_weights_they_draw() -> None:
    generators = [torch.Generator().manual_seed(0) for _ in range(3)]
    schemes = ("residual_scaled", "xavier", "kaiming")
    genome = Genome.parse(MIXED)
    built = [Backbone(genome, 64, STAR, initialisation=s, generator=g) for s, g in zip(schemes, generators, strict=True)]
    first, second, third = ([parameter for name, parameter in each.named_parameters() if "weight" in name] for each in built)
    for a, b, c in zip(first, second, third, strict=True):
        assert not torch.equal(a, b)
        assert not torch.equal(b, c) or a.shape[0] == a.shape[1]
    # From fan-in 64 to fan-out 64 the bounds sqrt(6 / 128) and sqrt(3 / 64) are one; the inner width of LIV 2 tells them apart.
    assert not torch.equal(built[1].livs[1].output.weight, built[2].livs[1].output.weight)


def test_the_order_of_livs_matters() -> None:
    x = noise(1, 9, 64)
    outputs = [lively_backbone(genome)(x) for genome in ("11111-71111", "71111-11111")]
    assert relative(outputs[0], outputs[1]) > 0.1
