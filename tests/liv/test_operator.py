"""Every built LIV class: the fast form is the reference form, rows are independent, and T is the operator (DESIGN 6.2, 6.5)."""

import pytest
import torch
from torch.nn import functional

from helpers import STAR, class_parameters, lively_backbone, lively_liv, lone, noise, relative, sharing_genomes
from liv.conformance import assert_is_operator, bf16_errors, captured, errors, first_row, in_precision, scales
from star_search.genome.genes import DIAGONAL

CLASSES = class_parameters()
SHARING = sharing_genomes()
LENGTHS = [1, 2, 63, 64, 65, 130]


@pytest.mark.parametrize("class_id", CLASSES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)], ids=["fp32", "fp64"])
def test_fast_form_is_the_reference_form(class_id: int, dtype: torch.dtype, tolerance: float) -> None:
    for length in LENGTHS:
        liv = lively_liv(class_id)
        fast = in_precision(liv, length, dtype, use_reference=False)
        truth = in_precision(liv, length, dtype, use_reference=True)
        sizes = scales(liv, length, in_precision(liv, length, torch.float64, use_reference=True))
        wrong = {name: error for name, error in errors(fast, truth, sizes).items() if not error <= tolerance}
        assert not wrong, f"length {length}: {wrong}"


@pytest.mark.parametrize("class_id", CLASSES)
@pytest.mark.parametrize("autocast", [False, True], ids=["bf16", "autocast"])
def test_fast_form_errs_in_bf16_at_most_twice_as_much_as_the_reference_form(class_id: int, autocast: bool) -> None:
    plain, fast = bf16_errors(class_id, autocast)
    wrong = {name: (error, plain[name]) for name, error in fast.items() if not error <= 2 * plain[name]}
    assert not wrong, f"(fast form's error, reference form's error): {wrong}"
    assert 1e-4 < plain["output"] < 0.05, "the reference form was not measured in bf16"


@pytest.mark.parametrize("genome", SHARING)
@pytest.mark.parametrize("length", [1, 65])
def test_sharing_keeps_the_fast_form_the_reference_form(genome: str, length: int) -> None:
    backbone = lively_backbone(genome)
    fast = in_precision(backbone, length, torch.float64, use_reference=False)
    truth = in_precision(backbone, length, torch.float64, use_reference=True)
    assert max(errors(fast, truth, scales(backbone, length, truth)).values()) <= 1e-10


@pytest.mark.parametrize("genome", [lone(each.values[0]) for each in CLASSES] + SHARING)
@pytest.mark.parametrize("use_reference", [False, True], ids=["fast", "reference"])
def test_gradients_are_the_slope_of_the_loss(genome: str, use_reference: bool) -> None:
    """Along a random direction of all parameters and the input, through shared weights and shared features too."""
    backbone, x, weights = lively_backbone(genome, width=16, dtype=torch.float64), *(noise(2, 21, 16, seed=s).double() for s in (1, 2))
    inputs = [x.requires_grad_(), *backbone.parameters()]
    directions = [noise(*each.shape, seed=seed, dtype=torch.float64) for seed, each in enumerate(inputs)]
    gradients = torch.autograd.grad((backbone(x, use_reference) * weights).sum(), inputs)
    slope = sum(float((gradient * direction).sum()) for gradient, direction in zip(gradients, directions, strict=True))

    def loss(distance: float) -> float:
        for each, direction in zip(inputs, directions, strict=True):
            each.add_(distance * direction)
        found = float((backbone(x, use_reference) * weights).sum())
        for each, direction in zip(inputs, directions, strict=True):
            each.sub_(distance * direction)
        return found

    norm = sum(float(gradient.square().sum()) for gradient in gradients) ** 0.5
    with torch.no_grad():
        assert (loss(1e-7) - loss(-1e-7)) / 2e-7 == pytest.approx(slope, abs=1e-6 * norm)


@pytest.mark.parametrize("class_id", CLASSES)
@pytest.mark.parametrize("use_reference", [False, True], ids=["fast", "reference"])
def test_a_row_does_not_see_the_others(class_id: int, use_reference: bool) -> None:
    liv, x = lively_liv(class_id), noise(3, 70, 64)
    y, _ = liv(x, use_reference=use_reference)
    poisoned = x.clone()
    poisoned[0], poisoned[2] = torch.nan, 5.0
    assert torch.equal(liv(poisoned, use_reference=use_reference)[0][1], y[1])
    alone, _ = liv(x[1:2], use_reference=use_reference)
    assert relative(alone[0], y[1]) < 1e-6
    assert relative(y[0], y[1]) > 0.1


@pytest.mark.parametrize("class_id", CLASSES)
@pytest.mark.parametrize(("length", "branch_width"), [(2, 64), (67, 8)])
def test_materialize_is_the_forward(class_id: int, length: int, branch_width: int) -> None:
    width = branch_width * STAR[class_id].branches
    liv, x = lively_liv(class_id, width=width, dtype=torch.float64), noise(length, width, dtype=torch.float64)
    T_ijab = liv.materialize(x)
    assert_is_operator(T_ijab, x, liv(x.unsqueeze(0))[0][0])
    if STAR[class_id].operator.token_mixing != DIAGONAL:
        assert T_ijab[1, 0].abs().max() > 1e-6
    else:
        assert T_ijab[1, 0].abs().max() == 0


@pytest.mark.parametrize("genome", SHARING)
def test_materialize_with_shared_features_is_the_forward(genome: str) -> None:
    backbone = lively_backbone(genome, width=16, dtype=torch.float64)
    for liv, x, shared, y in captured(backbone, noise(2, 9, 16, dtype=torch.float64)):
        value = x[0] if "v" in liv.computed else shared["v"][0]
        assert_is_operator(liv.materialize(x[0], shared=first_row(liv, shared)), value, y[0])


@pytest.mark.parametrize("genome", [lone(each.values[0]) for each in CLASSES] + SHARING[:4])
def test_the_token_matrix_is_the_norm_over_channels_of_the_operator(genome: str) -> None:
    backbone = lively_backbone(genome, width=16, dtype=torch.float64)
    for liv, x, shared, _ in captured(backbone, noise(1, 9, 16, dtype=torch.float64)):
        expected = liv.materialize(x[0], shared=shared).square().sum((2, 3)).sqrt()
        assert relative(liv.token_matrix(x[0], shared=shared), expected) < 1e-12


@pytest.mark.parametrize("probes", [1, 5, 64, None])
def test_any_number_of_directions_gives_the_norm_where_all_are_alike(probes: int | None) -> None:
    """Equal keys make attention the mean of what was read: with V and O the identity every block of row i is the identity over i + 1."""
    liv = lively_liv(1, dtype=torch.float64)
    with torch.no_grad():
        liv.featurizer["q"].weight.zero_()
        for weight in (liv.featurizer["v"].weight, liv.output.weight):
            weight.copy_(torch.eye(64))
    expected = torch.full((7, 7), 8.0, dtype=torch.float64).tril() / torch.arange(1, 8)[:, None]
    assert relative(liv.token_matrix(noise(7, 64, dtype=torch.float64), probes=probes), expected) < 1e-12


@pytest.mark.parametrize("class_id", CLASSES)
def test_materialized_operator_varies_with_its_input(class_id: int) -> None:
    liv = lively_liv(class_id, width=16, dtype=torch.float64)
    first, second = (liv.materialize(noise(5, 16, seed=seed, dtype=torch.float64)) for seed in (0, 1))
    assert relative(first, second) > 1e-3


def test_a_missing_shared_feature_is_refused() -> None:
    liv = lively_backbone("11112-11112").livs[1]
    with pytest.raises(ValueError, match="LIV 2 takes k, v from LIV 1"):
        liv(noise(1, 4, 64))


def test_memoryless_is_the_formula() -> None:
    liv, x = lively_liv(9, dtype=torch.float64), noise(2, 5, 64, dtype=torch.float64)
    gate, value = x @ liv.featurizer["gate"].weight.T, x @ liv.featurizer["v"].weight.T
    assert relative(liv(x)[0], (functional.sigmoid(gate) * gate * value) @ liv.output.weight.T) < 1e-14
