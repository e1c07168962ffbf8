"""The parallel scan against a loop, values and gradients."""

import pytest
import torch
from torch.autograd import gradcheck

from helpers import noise, relative
from star_search.liv import reference
from star_search.liv.scan import linear_scan, scan_values

LENGTHS = [1, 2, 15, 16, 17, 100, 257]


def inputs(length: int, *trailing: int, batch: int = 2, decay_shape: tuple[int, ...] | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Return decays between -0.2 and 1.2, zeros among them, and values."""
    decay = (
        noise(batch, length, *(trailing if decay_shape is None else decay_shape), dtype=torch.float64).mul(0.3).add(0.5).clamp(-0.2, 1.2)
    )
    decay[:, ::5] = 0
    return decay.requires_grad_(), noise(batch, length, *trailing, seed=1, dtype=torch.float64).requires_grad_()


@pytest.mark.parametrize("length", LENGTHS)
def test_gradients_are_those_of_finite_differences(length: int) -> None:
    decay, values = inputs(length, 1, batch=1) if length > 17 else inputs(length, 3)
    assert gradcheck(linear_scan, (decay, values), fast_mode=length > 17)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("decay_shape", [(3, 4), (1, 4), (1, 1)], ids=str)
def test_scan_is_the_loop(length: int, decay_shape: tuple[int, ...]) -> None:
    decay, values = inputs(length, 3, 4, decay_shape=decay_shape)
    weights = noise(2, length, 3, 4, seed=2, dtype=torch.float64)
    expected = reference.scan(decay.expand_as(values), values)
    wanted = torch.autograd.grad((expected * weights).sum(), (decay, values))
    found = linear_scan(decay, values)
    assert relative(found, expected) < 1e-13
    for gradient, want in zip(torch.autograd.grad((found * weights).sum(), (decay, values)), wanted, strict=True):
        assert gradient.shape == want.shape
        assert float((gradient - want).norm()) <= 1e-12 * max(float(want.norm()), 1)


@pytest.mark.parametrize("length", LENGTHS)
def test_reference_is_the_explicit_sum(length: int) -> None:
    """`h_t = sum_s a_{s+1} ... a_t b_s`."""
    decay, values = (tensor.detach()[0, :, 0] for tensor in inputs(length, 1))
    expected = [sum(float(decay[s + 1 : t + 1].prod() * values[s]) for s in range(t + 1)) for t in range(length)]
    found = reference.scan(decay[None, :, None], values[None, :, None]).flatten()
    assert relative(found, torch.tensor(expected, dtype=torch.float64)) < 1e-12


def test_constant_decay_sums_to_the_geometric_series() -> None:
    ones = torch.ones(1, 1000, 1, dtype=torch.float64)
    found = scan_values(0.5 * ones, ones).flatten()
    assert torch.allclose(found, 2 - 0.5 ** torch.arange(1000, dtype=torch.float64), rtol=1e-15, atol=0)


def test_no_token_reads_a_later_one() -> None:
    decay, values = inputs(257, 2)
    changed = values.detach().clone()
    changed[:, 100:] += 1
    assert torch.equal(scan_values(decay.detach(), values.detach())[:, :100], scan_values(decay.detach(), changed)[:, :100])
