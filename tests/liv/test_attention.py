"""Attention against Llama of transformers, and linear attention against its equation."""

import numpy as np
import pytest
import torch
from torch import Tensor

from helpers import lively_liv, noise, relative
from star_search.genome.accounting import head_count
from star_search.liv.attention import rotary_table, rotate

transformers = pytest.importorskip("transformers")

WIDTH, LENGTH = 128, 37


def llama_attention(class_id: int, x: Tensor) -> Tensor:
    """Return the output of Llama's attention with the weights of a LIV, in fp64 and by the explicit matrix."""
    from transformers.models.llama.modeling_llama import LlamaAttention, LlamaConfig, LlamaRotaryEmbedding

    liv, heads = lively_liv(class_id, WIDTH, torch.float64), head_count(WIDTH)
    key_heads = liv.featurizer["k"].weight.shape[0] // (WIDTH // heads)
    config = LlamaConfig(hidden_size=WIDTH, num_attention_heads=heads, num_key_value_heads=key_heads, attn_implementation="eager")
    attention = LlamaAttention(config, layer_idx=0).double().eval()
    pairs = {"q_proj": liv.featurizer["q"], "k_proj": liv.featurizer["k"], "v_proj": liv.featurizer["v"], "o_proj": liv.output}
    attention.load_state_dict({f"{name}.weight": module.weight for name, module in pairs.items()})
    positions = torch.arange(LENGTH).unsqueeze(0)
    mask = torch.full((LENGTH, LENGTH), -torch.inf, dtype=torch.float64).triu(1)[None, None]
    return attention(x, position_embeddings=LlamaRotaryEmbedding(config)(x, positions), attention_mask=mask)[0]


@pytest.mark.parametrize("class_id", [1, 3, 4])
def test_attention_is_that_of_llama(class_id: int) -> None:
    x = noise(2, LENGTH, WIDTH, dtype=torch.float64)
    with torch.no_grad():
        # Llama computes its angles in fp32, hence the tolerance.
        assert relative(lively_liv(class_id, WIDTH, torch.float64)(x)[0], llama_attention(class_id, x)) < 1e-6


def test_linear_attention_is_equation_9() -> None:
    """Katharopoulos et al. 2020, one head and one token at a time in numpy."""
    liv, x = lively_liv(2, WIDTH, torch.float64), noise(1, 20, WIDTH, dtype=torch.float64)
    q, k, v = ((x[0] @ liv.featurizer[name].weight.T).detach().numpy() for name in "qkv")
    q, k = (np.where(z > 0, z + 1, np.exp(z)) for z in (q, k))
    expected = np.zeros((20, WIDTH))
    for head in range(head_count(WIDTH)):
        span = slice(head * 32, head * 32 + 32)
        for i in range(20):
            scores = k[: i + 1, span] @ q[i, span]
            expected[i, span] = scores @ v[: i + 1, span] / scores.sum()
    assert relative(liv(x)[0][0], torch.from_numpy(expected) @ liv.output.weight.T) < 1e-13


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_rotation_is_the_formula_to_the_bit(dtype):
    x = torch.randn(2, 9, 3, 2, 8, generator=torch.Generator().manual_seed(0)).to(dtype)
    cosine, sine = rotary_table(9, 16, x).unsqueeze(-3)
    assert torch.equal(rotate(x.flatten(2), 16), (x * cosine + x.flip(-2) * sine).flatten(2))


def test_rotation_depends_on_distance_alone() -> None:
    q, k = noise(1, 1, 32, dtype=torch.float64), noise(1, 1, 32, seed=1, dtype=torch.float64)

    def at(x: Tensor, position: int) -> Tensor:
        return rotate(x, 32, rotary_table(1, 32, x, position))

    def score(i: int, j: int) -> float:
        return float((at(q, i) * at(k, j)).sum())

    assert score(7, 4) == pytest.approx(score(1003, 1000), rel=1e-11)
    assert score(7, 4) != pytest.approx(score(7, 5), rel=1e-3)
    assert torch.equal(at(q, 0), q)
    assert float(at(q, 9).norm()) == pytest.approx(float(q.norm()), rel=1e-14)


def test_attention_averages_values_where_all_keys_are_equal() -> None:
    liv, x = lively_liv(1, 64, torch.float64), noise(1, 9, 64, dtype=torch.float64)
    with torch.no_grad():
        liv.featurizer["q"].weight.zero_()
        liv.output.weight.copy_(torch.eye(64))
        values = x[0] @ liv.featurizer["v"].weight.T
        assert relative(liv(x)[0][0], values.cumsum(0) / torch.arange(1, 10)[:, None]) < 1e-13
