"""The decoding cache: its bounds, its bytes, and what it refuses."""

import pytest
import torch

from helpers import lively_backbone, noise, relative
from star_search.errors import InputError

GENOME = "11112-11112-51111-81111-71111-21111-91111"


def test_a_full_cache_refuses_another_token_and_stays_as_it_was() -> None:
    backbone, x = lively_backbone(GENOME), noise(2, 4, 64)
    cache = backbone.init_cache(2, 3)
    for position in range(3):
        backbone.step(x[:, position], cache)
    held = [tensor.clone() for tensor in cache.tensors()]
    with pytest.raises(InputError, match="the cache holds 3 tokens; 3 are read and 1 more were given"):
        backbone.step(x[:, 3], cache)
    assert cache.length == 3
    assert all(torch.equal(a, b) for a, b in zip(held, cache.tensors(), strict=True))


def test_a_prompt_longer_than_the_cache_is_refused() -> None:
    backbone = lively_backbone(GENOME)
    cache = backbone.init_cache(1, 3)
    with pytest.raises(InputError, match="the cache holds 3 tokens; 0 are read and 4 more were given"):
        backbone.prefill(noise(1, 4, 64), cache)
    assert cache.length == 0


def test_prefill_needs_an_empty_cache() -> None:
    backbone, x = lively_backbone(GENOME), noise(1, 2, 64)
    cache = backbone.init_cache(1, 8)
    backbone.step(x[:, 0], cache)
    with pytest.raises(InputError, match="prefill needs an empty cache, this one has read 1 tokens"):
        backbone.prefill(x, cache)


@pytest.mark.parametrize("genome", [GENOME, "11112-71111-91111|123"])
def test_a_prompt_without_tokens_is_refused(genome: str) -> None:
    backbone = lively_backbone(genome)
    with pytest.raises(InputError, match="prefill needs a prompt of at least one token"):
        backbone.prefill(noise(1, 0, 64), backbone.init_cache(1, 8))


def test_bytes_are_those_of_the_tensors_in_the_models_precision() -> None:
    single, double = (lively_backbone(GENOME, dtype=dtype).init_cache(2, 10) for dtype in (torch.float32, torch.float64))
    assert double.nbytes == 2 * single.nbytes == 2 * sum(tensor.numel() * 4 for tensor in single.tensors())
    assert single.nbytes == 2 * 4 / 2 * lively_backbone(GENOME).accounting.cache_bytes(10)


def test_two_caches_are_two_sequences() -> None:
    backbone, x = lively_backbone(GENOME, dtype=torch.float64), noise(2, 9, 64, dtype=torch.float64)
    caches = [backbone.init_cache(1, 9) for _ in range(2)]
    outputs = [[], []]
    with torch.no_grad():
        for position in range(9):
            for row in (0, 1):
                outputs[row].append(backbone.step(x[row : row + 1, position], caches[row]))
        assert relative(torch.stack([torch.cat(row) for row in outputs]), backbone(x)) < 1e-10


def test_decoding_records_no_gradient() -> None:
    backbone, x = lively_backbone(GENOME), noise(1, 3, 64)
    cache = backbone.init_cache(1, 3)
    assert not backbone.prefill(x[:, :2], cache).requires_grad
    assert not backbone.step(x[:, 2], cache).requires_grad
    assert not any(tensor.requires_grad for tensor in cache.tensors())
