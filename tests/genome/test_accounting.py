"""Closed forms: golden numbers, the table of DESIGN section 2, and counts of models on the meta device."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from helpers import STAR, lone, whole_space
from star_search import Genome, LanguageModel, SearchSpace
from star_search.config import SpaceConfig
from star_search.errors import InputError
from star_search.genome.accounting import Accounting, head_count

TRANSFORMER = "-".join(["11111", "91111"] * 12)
LARGE_TRANSFORMER = "-".join(["11111", "91111"] * 24)


def heads(d: int) -> int:
    return {64: 4, 256: 4, 768: 12}[d]


# Parameters at width d, and cache elements at width d and length T, written out by hand from the table.
PARAMETERS: dict[int, Callable[[int], int]] = {
    1: lambda d: 4 * d * d,
    2: lambda d: 4 * d * d,
    3: lambda d: 5 * d * d // 2,
    4: lambda d: 3 * d * d,
    # v, gate and output map; B and C of 16 per head; A per head with bias and rate; kernels of length 3 on v, B and C; the norm.
    5: lambda d: 3 * d * d + 33 * heads(d) * d + 2 * heads(d) + 3 * (d + 32 * heads(d)) + d,
    # A, v, gate and output map; B and C of 2; bias, rate and norm.
    6: lambda d: 4 * d * d + 4 * d + 3 * d,
    7: lambda d: 4 * d * d + 3 * d,
    # The filter: 17 -> 16 -> 16 with biases, -> d without, and a decay per channel.
    8: lambda d: 4 * d * d + (17 * 16 + 16) + (16 * 16 + 16) + 17 * d,
    9: lambda d: 3 * d * {64: 192, 256: 704, 768: 2048}[d],
    # S4D's v, gate and output map; 16 complex poles, input and output weights per channel; a step per channel; the norm.
    18: lambda d: 3 * d * d + 3 * 2 * 16 * d + d + d,
    # Liquid-S4's A, v, gate and output map; bias and delta per channel, 4 time constants, B and C of 4; the norm.
    19: lambda d: 4 * d * d + 2 * d + 4 * d + 2 * 4 * d + d,
    # Monarch for v and output map: d (blocks + block width) each, with 8 x 8, 16 x 16 and 24 x 32.
    21: lambda d: d * d + 2 * d * {64: 16, 256: 32, 768: 56}[d] + 3 * 2 * 16 * d + 2 * d,
    22: lambda d: 4 * d * d + 9 * d,
    24: lambda d: 4 * d * d,
    25: lambda d: 4 * d * d,
    26: lambda d: 3 * d * {64: 192, 256: 704, 768: 2048}[d],
    27: lambda d: 3 * d * {64: 192, 256: 704, 768: 2048}[d],
}
CACHE_ELEMENTS: dict[int, Callable[[int, int], int]] = {
    1: lambda d, T: 2 * d * T,
    2: lambda d, T: d * d // heads(d) + d,
    3: lambda d, T: d * T // 2,
    4: lambda d, T: d * T,
    5: lambda d, T: 16 * d + 2 * (d + 32 * heads(d)),
    6: lambda d, T: 2 * d,
    7: lambda d, T: 2 * d,
    8: lambda d, T: d * T,
    9: lambda d, T: 0,
    16: lambda d, T: 4 * d,
    17: lambda d, T: 2 * d * T,
    18: lambda d, T: 2 * 16 * d,
    19: lambda d, T: 4 * d,
    21: lambda d, T: 2 * 16 * d,
    22: lambda d, T: 2 * d * T + 2 * 3 * d,
    24: lambda d, T: 2 * d * min(T, 256),
    25: lambda d, T: 2 * d * min(T, 256),
    26: lambda d, T: 0,
    27: lambda d, T: 0,
}
# A differential class has the parameters of its base and four vectors of half a head's width, and its cache unless the table says more.
BASE = {10: 1, 11: 2, 12: 3, 13: 4, 14: 5, 15: 6, 16: 7, 17: 8, 20: 18, 23: 22}


@pytest.mark.parametrize("class_id", STAR.classes)
@pytest.mark.parametrize("width", [64, 256, 768])
def test_a_class_has_the_sizes_of_the_table(class_id: int, width: int) -> None:
    account, base = Accounting.of(Genome.parse(lone(class_id)), width), BASE.get(class_id, class_id)
    expected = PARAMETERS[base](width) + (2 * width // heads(width) if class_id in BASE else 0)
    assert account.operator_parameters == expected
    assert account.parameters == expected + 2 * width
    for length in (1, 128, 256, 257, 4096):
        assert account.cache_bytes(length) == 2 * CACHE_ELEMENTS.get(class_id, CACHE_ELEMENTS[base])(width, length)


@pytest.mark.parametrize("class_id", [5, 6, 14, 15, 18, 19, 20])
@pytest.mark.parametrize("width", [256, 768, 2048])
def test_recurrences_are_within_a_quarter_of_attention(class_id: int, width: int) -> None:
    assert Accounting.of(Genome.parse(lone(class_id)), width).operator_parameters == pytest.approx(4 * width**2, rel=0.25)


def test_transformer_has_its_golden_sizes() -> None:
    account = Accounting.of(Genome.parse(TRANSFORMER), 768)
    assert account.operator_parameters == 84_934_656
    assert account.parameters == 84_953_856
    assert account.cache_bytes(4096) == 150_994_944
    assert Accounting.of(Genome.parse(LARGE_TRANSFORMER), 2048).cache_bytes(4096) == 805_306_368


@pytest.mark.parametrize(("width", "expected"), [(64, 4), (256, 4), (320, 5), (768, 12), (2048, 32)])
def test_head_count(width: int, expected: int) -> None:
    assert head_count(width) == expected


def elements(text: str, width: int, length: int) -> int:
    return Accounting.of(Genome.parse(text), width).cache_bytes(length) // 2


def test_what_is_held_once_counts_once() -> None:
    """k and v each; a recurrent state or a tail only when all that forms it is shared."""
    d, T = 64, 100
    assert [elements(f"1111{s}-1111{s}", d, T) for s in (1, 2, 3, 4)] == [4 * d * T, 2 * d * T, 3 * d * T, 3 * d * T]
    state = d * d // 4 + d
    assert [elements(f"2111{s}-2111{s}", d, T) for s in (1, 2, 3, 4)] == [2 * state, state, 2 * state, 2 * state]
    tails = {"B": 2 * 16 * 4, "v": 2 * d, "C": 2 * 16 * 4}
    whole = 16 * d + sum(tails.values())
    shared = [0, 16 * d + tails["B"] + tails["v"], 0, tails["B"], tails["v"]]
    assert [elements(f"5111{s}-5111{s}", d, T) for s in (1, 2, 3, 4, 5)] == [2 * whole - saved for saved in shared]
    assert [elements(f"6111{s}-6111{s}", d, T) for s in (1, 2, 3, 4, 5)] == [4 * d, 2 * d, 4 * d, 4 * d, 4 * d]
    assert [elements(f"7111{s}-7111{s}", d, T) for s in (1, 2, 3, 4)] == [4 * d, 2 * d, 4 * d, 4 * d]
    # S4D's state is also formed by its own poles and input weights: it is shared when these are tied too.
    assert [elements(text, d, T) for text in ("i1111-i1111", "i1112-i1112", "i1211-i1211", "i1212-i1212")] == [
        64 * d,
        64 * d,
        64 * d,
        32 * d,
    ]
    assert [elements(f"j1{tied}1{s}-j1{tied}1{s}", d, T) for tied in (1, 2) for s in (2, 3, 4)] == [
        8 * d,
        8 * d,
        8 * d,
        4 * d,
        8 * d,
        8 * d,
    ]
    assert [elements(f"a111{s}-a111{s}", d, T) for s in (1, 2, 3, 4)] == [4 * d * T, 2 * d * T, 3 * d * T, 3 * d * T]
    assert [elements(f"8111{s}-8111{s}", d, T) for s in (1, 2, 3, 4)] == [2 * d * T, d * T, 2 * d * T, 2 * d * T]


def test_featurizer_sharing_saves_parameters_and_no_cache() -> None:
    d = 64
    for class_id, saved in {1: 3 * d * d, 3: 3 * d * d // 2, 7: 3 * d * d + 3 * d}.items():
        alone = Accounting.of(Genome.parse(f"{class_id}1111-{class_id}1111"), d)
        tied = Accounting.of(Genome.parse(f"{class_id}1211-{class_id}1211"), d)
        assert alone.parameters - tied.parameters == saved
        assert alone.cache_bytes(100) == tied.cache_bytes(100)


def test_feature_sharing_saves_the_weights_that_only_made_the_features() -> None:
    d = 64
    parameters = [Accounting.of(Genome.parse(f"1111{s}-1111{s}"), d).operator_parameters for s in (1, 2, 3, 4)]
    assert parameters == [8 * d * d, 6 * d * d, 7 * d * d, 7 * d * d]


def test_scaled_residuals_add_one_parameter_per_liv() -> None:
    genome = Genome.parse(TRANSFORMER)
    assert Accounting.of(genome, 768, residual="scaled").parameters == 84_953_856 + 24


@pytest.mark.parametrize(
    ("genome", "width", "words"),
    [("11111", 65, "width 65 must be a multiple of 8"), ("31111", 320, "SA-3"), ("a1111", 72, "16, 4 times its 4 heads")],
)
def test_a_width_that_does_not_fit_is_refused(genome: str, width: int, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Accounting.of(Genome.parse(genome), width).dimensions  # noqa: B018


def on_meta(genome: Genome, width: int) -> LanguageModel:
    with torch.device("meta"):
        return LanguageModel.from_genome(genome, width, vocabulary_size=2)


@pytest.mark.parametrize("class_id", STAR.ids)
@pytest.mark.parametrize("width", [64, 256, 768])
def test_every_built_class_is_counted_as_declared(class_id: int, width: int) -> None:
    model = on_meta(Genome.parse(lone(class_id)), width)
    assert model.parameter_count() == model.backbone.accounting.parameters
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}


def test_transformer_is_counted_as_declared() -> None:
    assert on_meta(Genome.parse(TRANSFORMER), 768).parameter_count() == 84_953_856


def held(model: LanguageModel, length: int) -> int:
    """Return the elements of every state that decoding allocates."""
    elements = 0

    def allocate(*shape: int) -> torch.Tensor:
        nonlocal elements
        elements += math.prod(shape)
        return torch.empty(0)

    for liv in model.backbone.livs:
        liv.allocate(allocate, length)
    return elements + sum(block.size for block in model.backbone.blocks if block.is_routed)


def assert_counted(genome: Genome, length: int) -> None:
    model = on_meta(genome, 64)
    account = model.backbone.accounting
    assert model.parameter_count() == account.parameters, genome
    assert [sum(parameter.numel() for parameter in liv.parameters()) for liv in model.backbone.livs] == account.liv_parameters(), genome
    assert 2 * held(model, length) == account.cache_bytes(length), genome


def test_random_genomes_are_counted_as_declared() -> None:
    for seed in range(100):
        space = SearchSpace.from_config(SpaceConfig(depth=1 + seed % 5, groups=1 + seed % 3))
        assert_counted(space.sample(np.random.default_rng(seed)).genome, 1 + 31 * seed)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_ten_thousand_random_genomes_of_the_whole_space_are_counted_as_declared(part: int) -> None:
    spaces = [whole_space(depth, evolved=1) for depth in (1, 2, 3)]
    own = 0
    for seed in range(2500 * part, 2500 * (part + 1)):
        genome = spaces[seed % 3].sample(np.random.default_rng(seed)).genome
        own += any(liv.liv_class > 100 for liv in genome.livs)
        assert_counted(genome, 1 + 7 * (seed % 100))
    assert own > 50
