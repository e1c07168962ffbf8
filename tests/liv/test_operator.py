"""Every built LIV class: the fast form is the reference form, rows are independent, and T is the operator (DESIGN 6.2, 6.5)."""

from unittest import mock

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from helpers import STAR, class_parameters, lively_backbone, lively_liv, lone, noise, relative, sharing_genomes
from star_search.genome.genes import DIAGONAL
from star_search.liv.operator import LIV
from star_search.model.backbone import Backbone

CLASSES = class_parameters()
SHARING = sharing_genomes()
LENGTHS = [1, 2, 63, 64, 65, 130]


def outputs_and_gradients(module: LIV | Backbone, x: Tensor, weights: Tensor, use_reference: bool) -> dict[str, Tensor]:
    """Return the output, the input's gradient and every parameter's, in fp64."""
    module.zero_grad()
    x = x.clone().requires_grad_()
    y = module(x, use_reference=use_reference)
    y = y[0] if isinstance(y, tuple) else y
    (y * weights).sum().backward()
    found = {"output": y, "input": x.grad, **{name: parameter.grad for name, parameter in module.named_parameters()}}
    return {name: tensor.detach().to(torch.float64, copy=True) for name, tensor in found.items()}


def scales(module: LIV | Backbone, length: int, exact: dict[str, Tensor]) -> dict[str, float]:
    """Return the size that each tensor's error is held against; `exact` are those of the fp64 reference form.

    It is the norm of the tensor, or that of its gradient with the statistics of the norms on the value path held still, if larger.
    A norm undoes every change of scale: its gradient is the direct part plus the part through the statistic, and where a
    parameter does little but scale (lambda and decays, while few tokens are seen), the two cancel. Then the gradient is their rounding
    error, about 1e-7 of either, which no form can avoid. Where they do not cancel this is the relative error. What is zero either way
    (q and k of a single token) is held against the largest.
    """
    inverse_rms = LIV._inverse_rms
    with mock.patch.object(LIV, "_inverse_rms", staticmethod(lambda x: inverse_rms(x).detach())):
        direct = in_precision(module, length, torch.float64, use_reference=True)
    found = {name: max(float(tensor.norm()), float(direct[name].norm())) for name, tensor in exact.items()}
    largest = max(found.values())
    return {name: size if size > 1e-12 * largest else largest for name, size in found.items()}


def errors(value: dict[str, Tensor], truth: dict[str, Tensor], sizes: dict[str, float]) -> dict[str, float]:
    """Return the norm of every tensor's error over the size it is held against."""
    return {name: float((value[name] - tensor).norm()) / sizes[name] for name, tensor in truth.items()}


def in_precision(module: LIV | Backbone, length: int, dtype: torch.dtype, use_reference: bool) -> dict[str, Tensor]:
    """Return outputs and gradients of a module in a precision; the weights come from fp64."""
    width = module.sizes.width if isinstance(module, LIV) else module.width
    x, weights = noise(2, length, width, seed=1, dtype=dtype), noise(2, length, width, seed=2, dtype=dtype)
    return outputs_and_gradients(module.to(dtype), x, weights, use_reference)


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


def bf16_errors(class_id: int, autocast: bool) -> tuple[dict[str, float], dict[str, float]]:
    """Return the root mean square error of every tensor against the fp64 reference, of the reference form and of the fast form.

    Pooled over three models and lengths, since a tensor of four numbers meets rounding by luck.
    """
    squares: tuple[dict[str, float], dict[str, float]] = ({}, {})
    for seed in range(3):
        for length in (2, 65, 100):
            stored = lively_liv(class_id, seed=seed) if autocast else lively_liv(class_id, seed=seed).bfloat16()
            exact = in_precision(stored.double(), length, torch.float64, use_reference=True)
            sizes = scales(stored, length, exact)
            for pooled, use_reference in zip(squares, (True, False), strict=True):
                liv = lively_liv(class_id, seed=seed)
                with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                    found = in_precision(liv, length, torch.float32 if autocast else torch.bfloat16, use_reference)
                for name, error in errors(found, exact, sizes).items():
                    pooled[name] = pooled.get(name, 0.0) + error**2 / 9
    plain, fast = ({name: square**0.5 for name, square in pooled.items()} for pooled in squares)
    return plain, fast


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


def captured(backbone: Backbone, x_BTD: Tensor) -> list[tuple[LIV, Tensor, dict[str, Tensor] | None, Tensor]]:
    """Run the backbone and return each LIV with its input, the features it took and its output."""
    calls: list[tuple[LIV, Tensor, dict[str, Tensor] | None, Tensor]] = []
    hooks = [liv.register_forward_hook(lambda liv, given, out: calls.append((liv, given[0], given[1], out[0]))) for liv in backbone.livs]
    with torch.no_grad():
        backbone(x_BTD)
    for hook in hooks:
        hook.remove()
    return calls


def first_row(liv: LIV, shared: dict[str, Tensor] | None) -> dict[str, Tensor] | None:
    """Return the context features of the first sequence, without the batch dimension."""
    return shared and {name: shared[name][0] for name in liv.sizes.liv_class.context}


def assert_is_operator(T_ijab: Tensor, value_TG: Tensor, y_TD: Tensor) -> None:
    assert T_ijab.shape == (len(y_TD), len(y_TD), y_TD.shape[1], value_TG.shape[1])
    assert relative(torch.einsum("ijab,jb->ia", T_ijab, value_TG), y_TD) < 1e-10
    future = torch.ones(len(y_TD), len(y_TD), dtype=torch.bool).triu(1)
    assert T_ijab[future].abs().max() <= 1e-14 * T_ijab.abs().max()


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
