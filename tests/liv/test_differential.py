"""Differential operators against the Differential Transformer of transformers, and against two operators of half the size."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from helpers import STAR, lively_backbone, lively_liv, lone, noise, relative
from star_search.genome.accounting import Accounting, Dimensions, head_count
from star_search.genome.encoding import Genome
from star_search.genome.liv_class import LIVClass
from star_search.liv.differential import initial_lambda
from star_search.liv.operator import LIV, NORM_EPSILON, token_mixing_of

WIDTH, LENGTH = 128, 37
DIFFERENTIAL = [pytest.param(class_id, id=each.name) for class_id, each in STAR.classes.items() if each.differential]
REPEATED = {14: ("A",), 15: ("A",), 16: ("B", "C", "kernel"), 17: ("B", "C", "kernel")}
BASE = {10: 1, 11: 2, 12: 3, 13: 4, 14: 5, 15: 6, 16: 7, 17: 8, 20: 18, 23: 22}


def at_depth(class_id: int, position: int) -> LIV:
    """Return a differential LIV that stands behind others."""
    return lively_backbone("-".join(["91111"] * position + [lone(class_id)]), WIDTH, torch.float64).livs[position]


def diff_llama_attention(liv: LIV, layer: int) -> nn.Module:
    """Return DiffLlama's attention with the weights of a LIV: twice the heads, of half the width; the value's heads lie in two halves."""
    pytest.importorskip("transformers", minversion="4.48")
    from transformers.models.diffllama.modeling_diffllama import DiffLlamaAttention, DiffLlamaConfig

    heads, key_heads = head_count(WIDTH), head_count(WIDTH) // liv.sizes.liv_class.groups["k"].repeat
    config = DiffLlamaConfig(hidden_size=WIDTH, num_attention_heads=2 * heads, num_key_value_heads=2 * key_heads, rms_norm_eps=NORM_EPSILON)
    config._attn_implementation = "eager"
    attention = DiffLlamaAttention(config, layer_idx=layer).double().eval()
    value = liv.featurizer["v"].weight.unflatten(0, (key_heads, 2, -1)).transpose(0, 1).flatten(0, 2)
    vectors = dict(zip(("lambda_q1", "lambda_k1", "lambda_q2", "lambda_k2"), liv.lambda_vectors, strict=True))
    weights = {"q_proj": liv.featurizer["q"].weight, "k_proj": liv.featurizer["k"].weight, "v_proj": value, "o_proj": liv.output.weight}
    attention.load_state_dict({**vectors, **{f"{name}.weight": weight for name, weight in weights.items()}})
    return attention


@pytest.mark.parametrize("class_id", [10, 12, 13])
@pytest.mark.parametrize("position", [0, 3, 4])
def test_differential_attention_is_that_of_diff_llama(class_id: int, position: int) -> None:
    liv, x = at_depth(class_id, position), noise(2, LENGTH, WIDTH, dtype=torch.float64)
    attention = diff_llama_attention(liv, position // 2)
    from transformers.models.diffllama.modeling_diffllama import DiffLlamaRotaryEmbedding

    embeddings = DiffLlamaRotaryEmbedding(attention.config)(x, torch.arange(LENGTH).unsqueeze(0))
    mask = torch.full((LENGTH, LENGTH), -torch.inf, dtype=torch.float64).triu(1)[None, None]
    with torch.no_grad():
        expected = attention(x, position_embeddings=embeddings, attention_mask=mask)[0]
        # DiffLlama computes angles, softmax and lambda in fp32, hence the tolerance.
        assert relative(liv(x)[0], expected) < 1e-5


def test_the_constant_part_of_lambda_grows_with_depth_from_02_to_08() -> None:
    """`0.8 - 0.6 exp(-0.3 (l - 1))` for layer l, two LIVs making a layer."""
    assert [initial_lambda(position) for position in range(6)] == pytest.approx([0.2, 0.2, 0.3555, 0.3555, 0.4707, 0.4707], abs=1e-4)
    assert initial_lambda(200) == pytest.approx(0.8, abs=1e-12)


@pytest.mark.parametrize("class_id", DIFFERENTIAL)
def test_lambda_is_its_formula(class_id: int) -> None:
    liv, x = at_depth(class_id, 2), noise(1, 3, WIDTH, dtype=torch.float64)
    assert liv.lambda_vectors.shape == (4, WIDTH // head_count(WIDTH) // 2)
    q1, k1, q2, k2 = liv.lambda_vectors.tolist()
    dots = [math.fsum(a * b for a, b in zip(q, k, strict=True)) for q, k in ((q1, k1), (q2, k2))]
    expected = math.exp(dots[0]) - math.exp(dots[1]) + 0.8 - 0.6 * math.exp(-0.3)
    assert float(liv.featurize(x)["lambda"].detach()) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("class_id", DIFFERENTIAL)
def test_every_head_is_normed_and_scaled(class_id: int) -> None:
    """Before gate and output map each head has root mean square `1 - initial lambda`, whatever the size of the value."""
    liv = at_depth(class_id, 2)
    liv.norm, liv.output = None, nn.Identity()
    heads = liv._readout(1e3 * noise(2, 5, WIDTH, dtype=torch.float64), {}).unflatten(-1, (head_count(WIDTH), -1))
    assert torch.allclose(heads.square().mean(-1).sqrt(), torch.tensor(0.6 * math.exp(-0.3) + 0.2).double(), rtol=1e-6)


def half_class(liv_class: LIVClass, width: int) -> Dimensions:
    """Return a branch as a class of its own: the base class, with half the state where the state is not as wide as the heads."""
    groups = {
        kind: {name: group._replace(expansion=max(1, group.expansion // 2)) for name, group in getattr(liv_class, kind).items()}
        for kind in ("context", "readout")
    }
    return Dimensions(replace(liv_class, differential=False, **groups), width)


def halves(class_id: int, features: dict[str, Tensor], index: int) -> dict[str, Tensor]:
    """Return one branch's features: the value and the gate whole, half of the others, made as wide as the operator needs them."""
    found = {}
    for name, feature in features.items():
        dim = 0 if name == "kernel" else 1 if class_id == 20 and name in "ABC" else feature.dim() - 1
        size = feature.shape[dim] // 2
        half = feature.narrow(dim, index * size, size)
        repeated = half.index_select(dim, torch.arange(2 * size) // 2)
        found[name] = feature if name in ("v", "gate") else repeated if name in REPEATED.get(class_id, ()) else half
    return found


@pytest.mark.parametrize("class_id", DIFFERENTIAL)
def test_the_operator_is_the_difference_of_two_half_operators(class_id: int) -> None:
    """Half the features each, half-width gates repeated over two channels and half the decays over two channels or heads."""
    liv, x = at_depth(class_id, 2), noise(2, LENGTH, WIDTH, dtype=torch.float64)
    features = liv.featurize(x)
    base = token_mixing_of(half_class(liv.sizes.liv_class, WIDTH))
    strength = features.pop("lambda")
    with torch.no_grad():
        first, second = (base.reference(halves(class_id, features, index)) for index in (0, 1))
        found = liv.token_mixing.mix({**features, "lambda": strength})
        assert relative(found, first - strength * second) < 1e-12
        assert relative(first, second) > 0.1


@pytest.mark.parametrize("class_id", DIFFERENTIAL)
@pytest.mark.parametrize("length", [1, 100])
def test_a_differential_class_is_as_large_as_its_base(class_id: int, length: int) -> None:
    """Parameters as the base and lambda's; the cache as the base, and a second tail of products or sum where two must be kept."""
    d = 64
    account, base = (Accounting.of(Genome.parse(lone(each)), d) for each in (class_id, BASE[class_id]))
    assert account.parameters == base.parameters + 4 * d // head_count(d) // 2
    twice = 2 if class_id in (16, 17) else 1
    assert account.cache_bytes(length) == twice * base.cache_bytes(length)


@pytest.mark.parametrize(
    ("class_id", "shapes"),
    [
        (10, {"0.k": (9, 32), "0.v": (9, 64), "1.k": (9, 32)}),
        (11, {"0.state": (4, 8, 16), "0.normaliser": (4, 8), "1.state": (4, 8, 16), "1.normaliser": (4, 8)}),
        (15, {"0.state": (1, 64), "1.state": (1, 64)}),
        (16, {"0.tail": (2, 64), "1.tail": (2, 64)}),
        (17, {"0.products": (9, 64), "1.products": (9, 64)}),
        (20, {"0.state": (8, 64, 2), "1.state": (8, 64, 2)}),
    ],
)
def test_the_cache_holds_one_value_two_half_states_or_two_tails(class_id: int, shapes: dict[str, tuple[int, ...]]) -> None:
    (state,) = lively_backbone(lone(class_id)).init_cache(1, 9).states
    assert {name: tuple(tensor.shape[1:]) for name, tensor in state.items()} == shapes


def test_a_differential_class_is_not_its_base() -> None:
    x = noise(1, 9, 64, dtype=torch.float64)
    for class_id, base in BASE.items():
        assert relative(lively_liv(class_id, dtype=torch.float64)(x)[0], lively_liv(base, dtype=torch.float64)(x)[0]) > 0.1
