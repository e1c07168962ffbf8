"""Windows and blocks: what a token sees, at lengths around the span, and ring buffers that wrap around."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from helpers import STAR, lively_backbone, lone, noise, relative, whole_space_genome
from liv.conformance import decoded
from star_search.model.backbone import Backbone

SPAN = 8
WINDOW, BLOCK = 24, 25
SMALL = replace(
    STAR,
    classes={
        **STAR.classes,
        WINDOW: replace(STAR[WINDOW], fields={"rotary": True, "window": SPAN}),
        BLOCK: replace(STAR[BLOCK], fields={"rotary": True, "block": SPAN}),
    },
)
BOTH = pytest.mark.parametrize("class_id", [WINDOW, BLOCK], ids=["window", "block"])
LENGTHS = [1, 2, SPAN - 1, SPAN, SPAN + 1, 2 * SPAN - 1, 2 * SPAN, 2 * SPAN + 1, 3 * SPAN + 5]


def small(class_id: int, **options: object) -> Backbone:
    return lively_backbone(lone(class_id), dtype=torch.float64, catalogue=SMALL, **options)


def first_seen(class_id: int, token: int, span: int = SPAN) -> int:
    return max(0, token - span + 1) if class_id == WINDOW else token - token % span


def assert_decoding_is_the_forward(backbone: Backbone, x: Tensor, prompts: list[int]) -> None:
    with torch.no_grad():
        expected = backbone(x)
        for prompt in prompts:
            cache = backbone.init_cache(len(x), x.shape[1])
            read = [*backbone.prefill(x[:, :prompt], cache).unbind(1)] if prompt else []
            read += [backbone.step(x[:, t], cache) for t in range(prompt, x.shape[1])]
            assert relative(torch.stack(read, 1), expected) < 1e-12, prompt


@BOTH
@pytest.mark.parametrize("length", LENGTHS)
def test_fast_form_is_the_reference_form(class_id: int, length: int) -> None:
    backbone, x = small(class_id), noise(2, length, 64, dtype=torch.float64)
    weights = noise(2, length, 64, seed=1, dtype=torch.float64)
    fast, truth = (backbone(x, use_reference) for use_reference in (False, True))
    assert relative(fast, truth) < 1e-13
    gradients = [torch.autograd.grad((y * weights).sum(), list(backbone.parameters()), allow_unused=True) for y in (fast, truth)]
    for found, wanted in zip(*gradients, strict=True):
        assert float((found - wanted).norm()) <= 1e-12 * max(1, float(wanted.norm()))


@BOTH
def test_a_token_sees_its_window_or_block_and_nothing_else(class_id: int) -> None:
    liv, length = small(class_id).livs[0], 3 * SPAN + 5
    T_ijab = liv.materialize(noise(length, 64, dtype=torch.float64))
    seen = T_ijab.abs().amax((2, 3)) > 1e-12
    assert seen.tolist() == [[first_seen(class_id, i) <= j <= i for j in range(length)] for i in range(length)]


@BOTH
def test_within_the_span_it_is_full_attention(class_id: int) -> None:
    x = noise(2, SPAN, 64, dtype=torch.float64)
    assert relative(small(class_id)(x), lively_backbone(lone(1), dtype=torch.float64)(x)) < 1e-13


def test_a_block_begins_anew() -> None:
    """Rotary attention depends on distances alone: the second block alone gives the same outputs."""
    backbone, x = small(BLOCK), noise(2, 2 * SPAN, 64, dtype=torch.float64)
    assert relative(backbone(x[:, SPAN:]), backbone(x)[:, SPAN:]) < 1e-12


@BOTH
@pytest.mark.parametrize("length", LENGTHS)
def test_decoding_and_prefill_go_around_the_ring_buffer(class_id: int, length: int) -> None:
    prompts = [prompt for prompt in (0, 1, SPAN - 1, SPAN, SPAN + 1, 2 * SPAN, 2 * SPAN + 3) if prompt <= length]
    assert_decoding_is_the_forward(small(class_id), noise(2, length, 64, dtype=torch.float64), prompts)


@BOTH
@pytest.mark.parametrize("strategy", [2, 3, 4])
def test_shared_keys_and_values_go_around_the_ring_buffer(class_id: int, strategy: int) -> None:
    digit = lone(class_id)[0]
    backbone = lively_backbone(f"{digit}111{strategy}-{digit}111{strategy}", dtype=torch.float64, catalogue=SMALL)
    assert_decoding_is_the_forward(backbone, noise(2, 2 * SPAN + 3, 64, dtype=torch.float64), [0, SPAN + 1, 2 * SPAN])


@BOTH
def test_the_cache_stops_growing_at_the_span(class_id: int) -> None:
    backbone = small(class_id)
    for length in (1, SPAN - 1, SPAN, SPAN + 1, 100):
        cache = backbone.init_cache(3, length)
        assert backbone.accounting.cache_bytes(length) == 2 * 2 * 64 * min(length, SPAN)
        assert cache.nbytes / 3 / 8 == 2 * 64 * min(length, SPAN)


@BOTH
@pytest.mark.slow
def test_the_span_of_the_catalogue_is_256(class_id: int) -> None:
    backbone, x = lively_backbone(lone(class_id), dtype=torch.float64), noise(1, 300, 64, dtype=torch.float64)
    assert relative(backbone(x), backbone(x, use_reference=True)) < 1e-13
    assert_decoding_is_the_forward(backbone, x, [0, 255, 256, 257])
    assert backbone.accounting.cache_bytes(300) == 2 * 2 * 64 * 256
    changed = torch.cat((x[:, :1] + 3, x[:, 1:]), 1)
    moved = (backbone(changed) - backbone(x)).detach().abs().amax((0, 2)) > 1e-9
    assert moved.nonzero().max() == 255


@pytest.mark.parametrize("genome", ["o1111-p1111-o1111-p1111|1233", *(whole_space_genome(4, seed).format() for seed in range(7))])
def test_genomes_of_the_whole_space_hold_beyond_every_window_and_block(genome: str) -> None:
    backbone, x = lively_backbone(genome, dtype=torch.float64), noise(1, 301, 64, dtype=torch.float64)
    cache = backbone.init_cache(1, 301)
    with torch.no_grad():
        y = backbone(x)
        assert relative(backbone(x, use_reference=True), y) < 1e-10
        assert relative(torch.cat((backbone.prefill(x[:, :277], cache), decoded(backbone, x[:, 277:], cache)), 1), y) < 1e-9
        later = torch.cat((x[:, :270], -x[:, 270:]), 1)
        assert relative(backbone(later)[:, :270], y[:, :270]) < 1e-10
