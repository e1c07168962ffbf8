"""What each gene value computes, token by token in numpy, from the weights alone (docs/design.md, operators)."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers import lively_liv, noise, relative
from star_search.genome.catalogue import load_catalogue
from star_search.liv.attention import SCORE_GAINS
from star_search.liv.featurizers import Decay, FixedDecay, Projection, map_channels
from star_search.liv.operator import LIV, NORM_EPSILON

READ = load_catalogue(str(Path(__file__).with_name("grid.yaml")))
# Rotation has tests of its own.
GRID = replace(READ, classes={key: replace(each, fields=dict(each.fields) | {"rotary": False}) for key, each in READ.classes.items()})
WIDTH, HEADS, CHANNELS, LENGTH = 64, 4, 16, 21
Array = np.ndarray


def lively(class_id: int) -> tuple[LIV, torch.Tensor]:
    return lively_liv(class_id, dtype=torch.float64, catalogue=GRID), noise(1, LENGTH, WIDTH, dtype=torch.float64)


def mapped(liv: LIV, name: str, x_TD: Array) -> Array:
    """Return a group's map of channels, and its short convolution and SiLU where it has them."""
    group = liv.group(name)
    weight = group.weight.detach().numpy()
    if weight.ndim == 1:
        each = len(weight) // WIDTH
        features = np.stack([x_TD[:, c // each] * weight[c] for c in range(len(weight))], 1)
    elif weight.ndim == 3:
        size = weight.shape[2]
        features = np.concatenate([x_TD[:, h * size : (h + 1) * size] @ matrix.T for h, matrix in enumerate(weight)], 1)
    else:
        features = x_TD @ weight.T
    if group.tail_width:
        kernel = group.kernel.detach().numpy()
        padded = np.concatenate((np.zeros((2, features.shape[1])), features))
        features = sum(padded[2 - lag : 2 - lag + len(x_TD)] * kernel[:, lag] for lag in range(3))
        features = features * sigmoid(features) if liv.sizes.liv_class.fields.get("convolution_activation") == "silu" else features
    return features


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def softplus(x: Array) -> Array:
    return np.log1p(np.exp(x))


def numbers(liv: LIV, name: str) -> dict[str, Array]:
    return {key: parameter.detach().numpy() for key, parameter in liv.group(name).named_parameters()}


def output(liv: LIV, mixed_TD: Array, x_TD: Array) -> torch.Tensor:
    """Return the output map of what was mixed, after gate and norm where the class is a recurrence."""
    if liv.norm is not None:
        gate = mapped(liv, "gate", x_TD)
        mixed_TD = mixed_TD * gate * sigmoid(gate)
        mixed_TD = mixed_TD / np.sqrt((mixed_TD**2).mean(1, keepdims=True) + NORM_EPSILON) * liv.norm.detach().numpy()
    return torch.from_numpy(mixed_TD @ liv.output.weight.detach().numpy().T)


def assert_is(liv: LIV, x: torch.Tensor, mixed_TD: Array) -> None:
    assert relative(liv(x)[0][0], output(liv, mixed_TD, x[0].numpy())) < 1e-12


ACTIVATIONS = {
    3: lambda x: np.maximum(x, 0),
    4: lambda x: x * sigmoid(x),
    5: lambda x: x * (1 + np.vectorize(math.erf)(x / 2**0.5)) / 2,
}


@pytest.mark.parametrize("nonlinearity", [3, 4, 5])
def test_activated_scores_have_unit_mean_square_over_a_standard_normal_distribution(nonlinearity: int) -> None:
    z = np.linspace(-12, 12, 40001)
    density = np.exp(-z * z / 2) / (2 * np.pi) ** 0.5 * (z[1] - z[0])
    assert (density * (SCORE_GAINS[nonlinearity] * ACTIVATIONS[nonlinearity](z)) ** 2).sum() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("class_id", [41, 42, 46, 43, 44], ids=lambda each: GRID[each].name)
def test_attention_weighs_each_score_or_divides_by_their_sum(class_id: int) -> None:
    """`gain act(q_i k_j / sqrt P) / n` over the n tokens seen; `phi(q_i) phi(k_j) / sum`; key heads are read by several heads."""
    liv, x = lively(class_id)
    operator, repeat = liv.sizes.liv_class.operator, liv.sizes.liv_class.groups["k"].repeat
    widths = {"q": liv.sizes.key_width, "k": liv.sizes.key_width, "v": CHANNELS}
    q, k, v = (mapped(liv, name, x[0].numpy()).reshape(LENGTH, -1, each) for name, each in widths.items())
    mixed = np.zeros((LENGTH, HEADS, CHANNELS))
    for head in range(HEADS):
        for i in range(LENGTH):
            first = {1: 0, 2: max(0, i - 7), 3: i // 8 * 8}[operator.sparsity]
            keys, values = k[first : i + 1, head // repeat], v[first : i + 1, head // repeat]
            if operator.nonlinearity == 1:
                query, keys = (np.where(each > 0, each + 1, np.exp(each)) for each in (q[i, head], keys))
                mixed[i, head] = keys @ query @ values / (keys @ query).sum()
            else:
                scores = ACTIVATIONS[operator.nonlinearity](keys @ q[i, head] / liv.sizes.key_width**0.5)
                mixed[i, head] = SCORE_GAINS[operator.nonlinearity] * scores @ values / len(values)
    assert_is(liv, x, mixed.reshape(LENGTH, -1))


@pytest.mark.parametrize("class_id", [49, 51], ids=lambda each: GRID[each].name)
def test_convolutions_have_gates_and_kernels_per_head_or_per_channel(class_id: int) -> None:
    """`C_i sum_j kernel[i - j] B_j v_j`, one number for all channels of a head where channel mixing is grouped."""
    liv, x = lively(class_id)
    spread = CHANNELS if class_id == 49 else 1
    B, C, v = (mapped(liv, name, x[0].numpy()) for name in "BCv")
    B, C = B.repeat(spread, 1), C.repeat(spread, 1)
    kernel = liv.group("kernel").features.detach().numpy().repeat(spread, 0)
    mixed = np.zeros((LENGTH, WIDTH))
    for i in range(LENGTH):
        mixed[i] = C[i] * sum(kernel[:, i - j] * B[j] * v[j] for j in range(max(0, i + 1 - kernel.shape[1]), i + 1))
    assert_is(liv, x, mixed)


def decays(liv: LIV, x_TD: Array) -> tuple[Array, Array]:
    """Return (weight, decay) of every token, mode and channel or head, [T, N or 1, D or H]."""
    found, fields = numbers(liv, "A"), liv.sizes.liv_class.fields
    if "speed" in found:
        decay = np.exp(-softplus(found["speed"])) + np.zeros((len(x_TD), 1, 1))
        return 1 - decay, decay
    made = softplus(mapped(liv, "A", x_TD) + found["bias"])[:, None]
    if fields.get("decay") == "liquid":
        decay = np.exp(-np.exp(found["log_delta"]) * (np.exp(-found["log_tau"]) + made))
        return 1 - decay, decay
    return made, np.exp(-made * np.exp(found["rate"]))


@pytest.mark.parametrize("class_id", [52, 54, 58], ids=lambda each: GRID[each].name)
def test_recurrences_per_channel(class_id: int) -> None:
    """`h[n] = a[n] h[n] + w[n] B[n] v`, `y = sum_n C[n] h[n]`: w is the step of the input, or 1 - a where the decay is fixed."""
    liv, x = lively(class_id)
    weight, decay = decays(liv, x[0].numpy())
    direct = liv.sizes.liv_class.groups["B"].parametrisation == 1
    B, C = (
        np.stack([liv.group(name).features.detach().numpy()] * LENGTH) if direct else mapped(liv, name, x[0].numpy())[:, :, None]
        for name in "BC"
    )
    v = mapped(liv, "v", x[0].numpy())
    state, mixed = np.zeros((B.shape[1], WIDTH)), np.zeros((LENGTH, WIDTH))
    for t in range(LENGTH):
        state = decay[t] * state + weight[t] * B[t] * v[t]
        mixed[t] = (C[t] * state).sum(0)
    assert_is(liv, x, mixed)


def test_recurrences_per_head_with_a_fixed_decay() -> None:
    """`S = a S + (1 - a) B v^T`, `y = C S`, one decay a head."""
    liv, x = lively(56)
    weight, decay = (each[0, 0] for each in decays(liv, x[0].numpy()))
    B, C, v = (mapped(liv, name, x[0].numpy()).reshape(LENGTH, HEADS, -1) for name in "BCv")
    state, mixed = np.zeros((HEADS, 3, CHANNELS)), np.zeros((LENGTH, HEADS, CHANNELS))
    for t in range(LENGTH):
        state = decay[:, None, None] * state + weight[:, None, None] * np.einsum("hn,hp->hnp", B[t], v[t])
        mixed[t] = np.einsum("hn,hnp->hp", C[t], state)
    assert_is(liv, x, mixed.reshape(LENGTH, -1))


@pytest.mark.parametrize("class_id", [62, 63, 64, 65], ids=lambda each: GRID[each].name)
def test_gates_are_per_channel_or_per_head(class_id: int) -> None:
    liv, x = lively(class_id)
    nonlinearity = liv.sizes.liv_class.operator.nonlinearity
    gate = mapped(liv, "gate", x[0].numpy())
    gate = gate if nonlinearity == 1 else ACTIVATIONS[nonlinearity](gate)
    v = mapped(liv, "v", x[0].numpy())
    assert_is(liv, x, gate.repeat(v.shape[1] // gate.shape[1], 1) * v)


@pytest.mark.parametrize(("shape", "expected"), [((8,), (8,)), ((24,), (24,)), ((5, 8), (5,)), ((4, 3, 2), (12,))], ids=str)
def test_a_map_of_channels_is_a_matrix(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """Factors lie on a (tall) diagonal, matrices per head in blocks; a bias is added after."""
    weight, bias = noise(*shape, dtype=torch.float64), noise(*expected, seed=1, dtype=torch.float64)
    matrix = map_channels(torch.eye(8, dtype=torch.float64), weight).T
    assert matrix.count_nonzero() == weight.numel()
    assert torch.equal(matrix.flatten()[matrix.flatten() != 0].sort().values, weight.flatten().sort().values)
    x = noise(3, 8, seed=2, dtype=torch.float64)
    assert relative(map_channels(x, weight, bias), x @ matrix.T + bias) < 1e-14


def test_modes_start_apart_and_fixed_decays_fade_over_one_to_1024_tokens() -> None:
    from star_search import LanguageModel

    model = LanguageModel.from_genome("(54)1111-(53)1111-(56)1111", 64, 4, GRID, seed=0)
    modes, fixed, heads = (liv.group("A") for liv in model.backbone.livs)
    assert isinstance(modes, Decay)
    assert torch.allclose(modes.rate.exp()[:, 7], torch.arange(1.0, 5.0))
    for group, shape in ((fixed, (4, 64)), (heads, (1, 4))):
        assert isinstance(group, FixedDecay)
        speeds = -group(torch.empty(0)).detach()
        assert speeds.shape == shape
        assert float(speeds.max()) == pytest.approx(1, rel=1e-5)
        assert float(speeds.min()) == pytest.approx(1 / 1024, rel=1e-3)


def test_matrices_per_head_start_with_the_variance_of_their_fan_in_and_factors_keep_the_size_of_a_cube() -> None:
    from star_search import LanguageModel

    backbone = LanguageModel.from_genome("(43)1111", 512, 4, GRID, seed=0).backbone
    q, k = (backbone.livs[0].group(name) for name in "qk")
    assert isinstance(q, Projection)
    assert q.weight.shape == (512,)
    assert float(q.weight.detach().std()) == pytest.approx(15 ** (-1 / 6), rel=0.1)
    assert k.weight.shape == (4, 64, 128)
    assert float(k.weight.detach().std()) == pytest.approx(128**-0.5, rel=0.02)
