"""Decoding by the same operations on the same memory: its tokens and its cache are those of plain decoding."""

import pytest
import torch

from helpers import STAR, lone, whole_space_genome
from star_search.errors import InputError
from star_search.liv.padding import Padding
from star_search.model.language_model import LanguageModel
from star_search.model.static_decoding import StaticDecoding, greedy_tokens

GENOMES = [
    *map(lone, STAR.classes),
    "11112-91111-11112-91111-r1211-51112-r1211-51112",
    "51112-71211-51112-71211|1313",
    whole_space_genome(4, 0).format(),
]


def model_of(genome):
    return LanguageModel.from_genome(genome, 64, 50, router_top_k=1, seed=0).double().eval()


@pytest.mark.parametrize("genome", GENOMES)
def test_it_decodes_what_plain_decoding_does(genome):
    model, prompt = model_of(genome), torch.arange(7) * 5
    assert torch.equal(greedy_tokens(model, prompt, 40), model.greedy(prompt, 40))


@pytest.mark.parametrize("genome", GENOMES)
def test_padded_rows_and_their_cache_too(genome):
    model, tokens = model_of(genome), torch.arange(12).reshape(2, 6) * 4
    (_, plain), (logits, cache) = (model.prefill(tokens, model.init_cache(2, 20), Padding(torch.tensor([0, 4]))) for _ in range(2))
    decoding, last = StaticDecoding(model, logits[:, -1].argmax(-1), cache), logits[:, -1].argmax(-1)
    for _ in range(14):
        last = model.step(last, plain)[0].argmax(-1)
        assert torch.equal(decoding.step(), last)
    for found, expected in zip(cache.tensors(), plain.tensors(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    with pytest.raises(InputError, match="the cache holds 20 tokens"):
        decoding.step()
