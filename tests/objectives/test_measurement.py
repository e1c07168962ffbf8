"""Measured decoding: the cache held is the declared one, peak memory is that of tensors, and nothing of a model changes."""

import pytest
import torch

from helpers import STAR, lone
from star_search.config_objectives import MeasurementConfig
from star_search.errors import StarSearchError
from star_search.model.language_model import LanguageModel
from star_search.objectives.measurement import _highest, check_cache, held_cache_bytes, measure

BRIEF = MeasurementConfig(warmup=0, repeats=1, batch=2)


def model_of(genome, width=16, vocabulary=32):
    return LanguageModel.from_genome(genome, width, vocabulary, seed=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_cache_measured_is_the_one_declared(dtype):
    """SA-1 keeps 2 d T elements and GConv-1 2 d: 2 bytes each, whatever the model's own element, for one sequence of the batch."""
    cost = measure(model_of("11111-71111").to(dtype), 24, BRIEF, with_memory=False)
    assert cost.held_cache_bytes == 2 * (2 * 16 * 24 + 2 * 16)
    assert (cost.length, cost.batch, cost.peak_bytes) == (24, 2, None)
    assert 0 < cost.decode.low <= cost.decode.median <= cost.decode.high
    assert cost.tokens_per_second == 2 / cost.decode.median


def test_a_cache_that_holds_more_than_declared_is_an_error():
    model = model_of("11111")
    cache = model.init_cache(1, 8)
    # A view as wide as before, into memory twice as large.
    cache.states[0]["k"] = torch.zeros(1, *[2 * size if index == 0 else size for index, size in enumerate(cache.states[0]["k"].shape[1:])])[
        :, : cache.states[0]["k"].shape[1]
    ]
    with pytest.raises(StarSearchError, match=r"^the decoding cache holds 768 bytes after 8 tokens, 512 are declared$"):
        check_cache(model, cache, 1)


@pytest.mark.parametrize("name", ["SA-1", "SA-1-Diff", "SA-2", "SA-3", "SA-Conv", "SA-Window", "SA-Block", "Rec-1", "GConv-2-Diff", "S4-2"])
def test_a_cache_within_and_beyond_windows_is_the_one_declared(name):
    model = model_of(f"{lone(STAR.find(name).id)}-91111", width=64)
    held = {length: held_cache_bytes(model, length) for length in (40, 300)}
    assert held == {length: model.cache_bytes(length) for length in held}
    # k and v of width 64 for every token, or for the 256 last ones or of a block at the most.
    known = {"SA-1": 300, "SA-Window": 256, "SA-Block": 256}
    assert name not in known or held[300] == 256 * known[name]


def test_peak_memory_holds_weights_cache_and_logits_and_little_else():
    """A vocabulary so large that its logits, of the last token alone, and its embedding are most of what is held."""
    model = model_of("71111", vocabulary=100_000)
    weights = sum(4 * parameter.numel() for parameter in model.parameters())
    logits = 2 * 4 * 100_000
    peak = measure(model, 64, BRIEF, with_memory=True).peak_bytes
    assert weights + logits <= peak < weights + 2 * logits


def test_the_highest_of_a_running_sum():
    assert _highest([4, -2, 5, -7, 6]) == 7
    assert _highest([]) == 0


def test_measuring_leaves_the_model_and_the_generator_as_they_were():
    model = model_of("11111-71111")
    before, state = {name: value.clone() for name, value in model.state_dict().items()}, torch.get_rng_state()
    measure(model, 8, BRIEF, with_memory=False)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_every_class_holds_what_it_declares_in_bfloat16():
    for class_id in STAR.ids:
        model = model_of(lone(class_id), width=64).to(torch.bfloat16)
        assert measure(model, 5, BRIEF, with_memory=False).held_cache_bytes == model.cache_bytes(5)
