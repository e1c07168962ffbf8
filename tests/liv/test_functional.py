"""A LIV as a function of its weights: the same numbers and gradients as the LIV itself, whoever owns the weights."""

import pytest
import torch

from helpers import STAR, class_parameters, lively_backbone, lone, noise, relative
from star_search.liv.functional import LIVKind, function_of, inputs_beside_weights

LENGTH = 37


def called_functionally(liv, x, handed_on=(), shared=None, lender=None):
    """Call a LIV by the function of its kind, made from `lender` where that is another LIV."""
    kind = LIVKind.of(liv, handed_on, 0.0)
    weights = liv.weights() | inputs_beside_weights(liv, x.shape[1], x)
    given = [(shared or {})[name] for name in kind.taken]
    return function_of(lender or liv, kind, 0.0)(x, weights, given)


@pytest.mark.parametrize("class_id", class_parameters())
def test_function_and_liv_agree_with_all_gradients(class_id):
    backbone = lively_backbone(lone(class_id), dtype=torch.float64)
    liv, x = backbone.livs[0], noise(2, LENGTH, 64, dtype=torch.float64).requires_grad_()
    inputs = [x, *liv.parameters()]
    expected, _ = liv(x)
    there = torch.autograd.grad(expected, inputs, torch.ones_like(expected))
    y, handed_on = called_functionally(liv, x, STAR[class_id].context)
    assert len(handed_on) == len(STAR[class_id].context)
    assert relative(y, expected) < 1e-12
    for mine, other in zip(torch.autograd.grad(y, inputs, torch.ones_like(y)), there, strict=True):
        assert float((mine - other).norm()) <= 1e-11 * max(1.0, float(other.norm()))


@pytest.mark.parametrize("genome", ["11212-91111-11212", "51214-51214", "a1211-91111-a1211", "61213-61213"])
def test_shared_weights_and_features_are_those_of_the_first_member(genome):
    backbone = lively_backbone(genome, dtype=torch.float64)
    first, last = backbone.livs[0], backbone.livs[-1]
    x, z = noise(1, LENGTH, 64, dtype=torch.float64), noise(1, LENGTH, 64, seed=1, dtype=torch.float64)
    _, features = first(x)
    expected, _ = last(z, features if last.feature_source is not None else None)
    y, _ = called_functionally(last, z, shared=features)
    assert relative(y, expected) < 1e-12


def test_one_function_serves_every_liv_of_a_kind():
    backbone = lively_backbone("a1111-91111-a1111-91111-a1111", dtype=torch.float64)
    x = noise(1, LENGTH, 64, dtype=torch.float64)
    lender, other = backbone.livs[0], backbone.livs[4]
    assert LIVKind.of(lender, (), 0.0) == LIVKind.of(other, (), 0.0) != LIVKind.of(other, (), 0.1)
    # Lambda's constant part grows with depth; it is an input, not a part of the function.
    assert lender.initial_lambda != other.initial_lambda
    y, _ = called_functionally(other, x, lender=lender)
    assert relative(y, other(x)[0]) < 1e-12
    assert relative(y, lender(x)[0]) > 0.1
