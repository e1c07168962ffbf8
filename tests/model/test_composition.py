"""Parallel LIVs: the formulas, decoding, and hard routing."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from helpers import lively_backbone, noise
from star_search import LanguageModel
from star_search.liv.operator import LIV
from star_search.model.backbone import Backbone
from star_search.model.composition import LiquidRouter

THREE = "11111-71111-91111"


def outputs_of(backbone: Backbone, x: Tensor) -> Tensor:
    """Return what each LIV of a lone block makes of the block's input, [M, B, T, D]."""
    norms = [functional.rms_norm(x, (backbone.width,), norm, 1e-5) for norm in backbone.norms]
    return torch.stack([liv(normed)[0] for liv, normed in zip(backbone.livs, norms, strict=False)])


def before_last_norm(backbone: Backbone, x: Tensor) -> Tensor:
    with torch.no_grad():
        backbone.norms[-1].fill_(1.0)
    return backbone(x)


def test_mixing_weights_are_the_formula() -> None:
    backbone, x = lively_backbone(THREE + "|122", dtype=torch.float64), noise(2, 9, 64, dtype=torch.float64)
    weights = backbone.combinations["0"].weights
    expected = x + (weights[:, None, None, None] * outputs_of(backbone, x)).sum(0)
    assert torch.allclose(before_last_norm(backbone, x), functional.rms_norm(expected, (64,), eps=1e-5), rtol=1e-12, atol=1e-12)


def test_the_router_is_the_formula() -> None:
    """A loop over tokens: h_t = a_t h_{t-1} + (1 - a_t) b(x_t), a_t = exp(-delta (1 / tau + softplus(f(x_t))))."""
    backbone, x = lively_backbone(THREE + "|123", dtype=torch.float64), noise(2, 9, 64, dtype=torch.float64)
    router = backbone.combinations["0"]
    seen = x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    state, gates = torch.zeros(2, 3, dtype=torch.float64), []
    for token in seen.unbind(1):
        speed = 1 / router.log_tau.exp() + functional.softplus(token @ router.speed_weight.T + router.speed_bias)
        decay = torch.exp(-router.log_delta.exp() * speed)
        state = decay * state + (1 - decay) * (token @ router.target_weight.T + router.target_bias)
        gates.append(state.softmax(-1))
    expected = x + 3**0.5 * torch.einsum("btm,mbtd->btd", torch.stack(gates, 1), outputs_of(backbone, x))
    assert torch.allclose(before_last_norm(backbone, x), functional.rms_norm(expected, (64,), eps=1e-5), rtol=1e-12, atol=1e-12)


def test_one_genome_mixes_and_routes_in_different_blocks() -> None:
    backbone = lively_backbone("11111-71111-91111-51111|1213")
    assert {name: type(each).__name__ for name, each in backbone.combinations.items()} == {"0": "MixingWeights", "2": "LiquidRouter"}
    assert lively_backbone(THREE + "|123").combinations["0"].block.size == 3


@pytest.mark.parametrize("digits", ["|122", "|123"])
def test_a_block_begins_with_equal_factors(digits: str) -> None:
    model = LanguageModel.from_genome(THREE + digits, width=64, vocabulary_size=8, seed=0)
    factors = model.backbone.combinations["0"](torch.zeros(1, 1, 64))
    assert torch.allclose(factors, torch.full_like(factors, 3**-0.5))


@pytest.mark.parametrize("top_k", [1, 2, 3, 9])
@pytest.mark.parametrize("genome", [THREE + "|123", "11112-71111-11112-91111-51111-51211|133123"])
def test_hard_routing_decodes_as_it_reads(genome: str, top_k: int) -> None:
    """At inference the k largest gates alone, over the same sum; decoding is the parallel forward."""
    model = LanguageModel.from_genome(genome, width=64, vocabulary_size=16, seed=0, router_top_k=top_k).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    tokens = torch.randint(16, (3, 12), generator=torch.Generator().manual_seed(0))
    cache = model.init_cache(3, 12)
    stepped = torch.stack([model.step(token, cache)[0] for token in tokens.unbind(1)], 1)
    assert torch.allclose(stepped, model(tokens), rtol=1e-10, atol=1e-10)
    soft = LanguageModel.from_genome(genome, width=64, vocabulary_size=16, seed=0).double().eval()
    soft.load_state_dict(model.state_dict())
    assert torch.equal(soft(tokens), model(tokens)) == (top_k >= 3)
    assert torch.equal(soft.train()(tokens), model.train()(tokens))


def test_hard_routing_skips_readouts_but_writes_every_context(monkeypatch: pytest.MonkeyPatch) -> None:
    model = LanguageModel.from_genome(THREE + "|123", width=64, vocabulary_size=16, seed=0, router_top_k=1).eval()
    read: list[int] = []
    recall = LIV.recall
    monkeypatch.setattr(LIV, "recall", lambda liv, seen: read.append(liv.position) or recall(liv, seen))
    cache = model.init_cache(1, 4)
    for token in range(4):
        model.step(torch.tensor([token]), cache)
    assert len(read) == 4
    assert cache.states[0]["k"].abs().sum(-1).all()
    assert cache.states[1]["tail"].abs().sum(-1).all()


def test_a_router_keeps_what_it_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its state depends on tokens long gone, and nothing it says on tokens to come."""
    router = lively_backbone(THREE + "|123").combinations["0"]
    assert isinstance(router, LiquidRouter)
    x = noise(1, 40, 64)
    changed = x.clone()
    changed[:, 20] += 1.0
    first, second = router(x), router(changed)
    assert torch.equal(first[:, :20], second[:, :20])
    differences = (first - second).abs().amax(-1)[0, 20:]
    assert (differences > 0).all()
    assert all(later < earlier for earlier, later in pairwise(differences[3:].tolist()[::6]))
