"""Feature groups: decays, implicit kernels, convolved projections."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from helpers import lively_liv, noise, relative
from star_search.genome.accounting import monarch_parameters
from star_search.liv.featurizers import ConvolvedProjection, Decay, ImplicitKernel, MonarchMap


def test_decay_is_a_positive_step_and_a_negative_logarithm() -> None:
    group = lively_liv(6, dtype=torch.float64).group("A")
    assert isinstance(group, Decay)
    x = noise(2, 9, 64, dtype=torch.float64)
    step, log_decay = group(x).unbind(-2)
    assert relative(step, torch.log1p(torch.exp(x @ group.weight.T + group.bias))) < 1e-13
    assert relative(log_decay, -step * group.rate.exp()) < 1e-15
    assert step.min() > 0
    assert log_decay.max() < 0


def test_an_implicit_kernel_is_the_same_at_every_length() -> None:
    group = lively_liv(8, dtype=torch.float64).group("kernel")
    assert isinstance(group, ImplicitKernel)
    long = group.kernel(300)
    for length in (1, 2, 64, 299):
        assert relative(group.kernel(length), long[:, :length]) < 1e-14


def test_an_implicit_kernel_fades_at_the_rate_of_its_channel() -> None:
    """Twice the decay parameter's softplus removed from the logarithm for every two lags."""
    group = ImplicitKernel(4).double()
    with torch.no_grad():
        group.decay.copy_(torch.tensor([-3.0, -1.0, 0.0, 2.0]))
        slow = group.kernel(5)
        group.decay.add_(1)
        fast = group.kernel(5)
        rates = functional.softplus(group.decay - 1) - functional.softplus(group.decay)
        assert torch.allclose(fast / slow, torch.exp(rates[:, None] * torch.arange(5)), rtol=1e-12, atol=0)


def test_a_constant_kernel_is_the_same_at_every_lag_whatever_the_length() -> None:
    group = lively_liv(8).group("kernel")
    short, long = group.constant(10), group.constant(130)
    assert short.shape[1] == 10
    assert relative(long[:, :10], short) < 1e-6
    with torch.no_grad():
        group.decay.add_(1)
    assert relative(group.constant(10), short) > 1e-3


@pytest.mark.parametrize("activation", [False, True])
def test_a_convolved_projection_is_linear_with_frozen_gates(activation: bool) -> None:
    group = ConvolvedProjection((6, 8), 6, activation).double()
    with torch.no_grad():
        group.weight.copy_(noise(6, 8))
        group.kernel.copy_(noise(6, 3, seed=1))
    x, other = noise(2, 7, 8, dtype=torch.float64), noise(2, 7, 8, seed=3, dtype=torch.float64)
    assert relative(group.linear(x, x), group(x)) < 1e-14
    assert relative(group.linear(2 * other + x, x), 2 * group.linear(other, x) + group(x)) < 1e-13
    window = functional.pad((x @ group.weight.T).transpose(1, 2), (2, 0))
    expected = functional.conv1d(window, group.kernel.flip(1).unsqueeze(1), groups=6).transpose(1, 2)
    assert relative(group(x), functional.silu(expected) if activation else expected) < 1e-14


def block_diagonal_by_hand(blocks: Tensor) -> Tensor:
    """Return the matrix with the given blocks on its diagonal."""
    count, size, _ = blocks.shape
    matrix = torch.zeros(count * size, count * size, dtype=blocks.dtype)
    for index, block in enumerate(blocks):
        matrix[index * size : (index + 1) * size, index * size : (index + 1) * size] = block
    return matrix


@pytest.mark.parametrize(("width", "blocks", "size"), [(64, 8, 8), (96, 8, 12), (256, 16, 16), (768, 24, 32)])
def test_a_monarch_map_is_two_block_diagonal_factors_and_permutations(width: int, blocks: int, size: int) -> None:
    """`M = P R P^T L` (Dao et al. 2022, definition 3.1): L of `blocks` blocks, R of `size` blocks, P the transposition of a grid."""
    group = MonarchMap(width).double()
    with torch.no_grad():
        for seed, parameter in enumerate(group.parameters()):
            parameter.copy_(noise(*parameter.shape, seed=seed))
    assert sum(parameter.numel() for parameter in group.parameters()) == width * (blocks + size) == monarch_parameters(width)
    left, right = block_diagonal_by_hand(group.first.detach()), block_diagonal_by_hand(group.second.detach())
    assert (left != 0).sum() == width * size
    assert (right != 0).sum() == width * blocks
    transposition = torch.eye(width, dtype=torch.float64)[torch.arange(width).reshape(blocks, size).T.flatten()]
    explicit = transposition.T @ right @ transposition @ left
    assert relative(group(torch.eye(width, dtype=torch.float64)).T, explicit) < 1e-13
    assert relative(group.dense(), explicit) < 1e-14
    assert explicit.count_nonzero() == width * width
    x = noise(2, 3, width, dtype=torch.float64)
    assert relative(group(x), x @ explicit.T) < 1e-13
    assert relative(group.step(x[:, 0], None), group(x)[:, 0]) < 1e-14
