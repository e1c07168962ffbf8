"""`STARBackbone`: the quick start of the agora-lab-ai/star README with the import changed, and what it refuses."""

import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers import noise
from star_search import ChannelMixingStructure, Featurizer, Genome, LIVConfig, STARBackbone, TokenMixingStructure
from star_search.errors import InputError
from star_search.genome.catalogue import load_catalogue
from star_search.liv.attention import rotate

MIGRATION = (Path(__file__).parents[2] / "docs/migration.md").read_text(encoding="utf-8")
ATTENTION = LIVConfig(
    featurizer_class=1,
    token_mixing=TokenMixingStructure.LOW_RANK,
    sparsity_mask=False,
    nonlinearity="softmax",
    channel_mixing=ChannelMixingStructure.GROUPED,
)
MEMORYLESS = LIVConfig(
    featurizer_class=9,
    token_mixing=TokenMixingStructure.DIAGONAL,
    sparsity_mask=False,
    nonlinearity="silu",
    channel_mixing=ChannelMixingStructure.DENSE,
)
RECURRENCE = LIVConfig(5, TokenMixingStructure.SEQUENTIAL_SEMI_SEPARABLE, False, None, ChannelMixingStructure.GROUPED)
CONFIGS = {1: ATTENTION, 9: MEMORYLESS}
QUICK_START = [
    [1, 1, 1, 1, 1],  # SA-1
    [9, 1, 1, 1, 1],  # GMemless
    [1, 2, 1, 2, 1],  # SA-1 with sharing
]


def test_quick_start() -> None:
    """As docs/migration.md prints it: the README's, with the import changed."""
    (code,) = re.findall(r"```python\n(.*?)```", MIGRATION, re.DOTALL)
    names: dict[str, Any] = {}
    with pytest.warns(UserWarning) as caught:
        exec(compile(code, "quick start", "exec"), names)
    model = names["model"]
    assert [str(each.message) for each in caught] == ["the genome of 3 LIVs is repeated 8 times to depth 24"]
    assert caught[0].filename == "quick start"
    assert (names["genome"], names["configs"]) == (QUICK_START, CONFIGS)
    assert [liv.sizes.liv_class.name for liv in model.livs] == ["SA-1", "GMemless", "SA-1"] * 8
    # 16 attentions of 4 d^2 and 8 memoryless LIVs of 3 d * 1408, 25 norms.
    assert sum(parameter.numel() for parameter in model.parameters()) == 16 * 4 * 512**2 + 8 * 3 * 512 * 1408 + 25 * 512
    x = noise(2, 16, 512)
    with torch.no_grad():
        y = model(x)
        assert y.shape == x.shape
        assert torch.equal(model(x.clone().index_fill_(1, torch.tensor([15]), 0.0))[:, :15], y[:, :15])


def test_groups_share_with_strategies_of_two_or_more_alone() -> None:
    """docs/migration.md: the reserved genes of agora-lab-ai/star are strategies here."""
    alone, tied = (STARBackbone(64, 2, [[1, 1, strategy, 1, 1]] * 2, CONFIGS) for strategy in (1, 2))
    assert tied.accounting.parameters == alone.accounting.parameters - 3 * 64**2


def test_a_genome_as_long_as_the_depth_warns_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = STARBackbone(dim=64, depth=3, genome=QUICK_START, configs=CONFIGS)
    assert model.genome == Genome.parse("11111-91111-12121")


@pytest.mark.parametrize("depth", [1, 2, 4, 25])
def test_a_length_that_does_not_divide_the_depth_is_refused(depth: int) -> None:
    with pytest.raises(InputError, match=f"the genome has 3 LIVs, which neither equals nor divides the depth {depth}"):
        STARBackbone(64, depth, QUICK_START, CONFIGS)


def test_a_genome_may_be_text_or_a_genome_and_needs_no_configs() -> None:
    genome = Genome.parse("51112-91111-51112")
    for given in (genome, genome.format(), [list(liv) for liv in genome.livs]):
        model = STARBackbone(64, 3, given, generator=torch.Generator().manual_seed(0))
        assert model.genome == genome
        assert [liv.sizes.liv_class.name for liv in model.livs] == ["Rec-1", "GMemless", "Rec-1"]


def test_class_ids_are_those_of_the_configs() -> None:
    model = STARBackbone(64, 2, [[3, 1, 1, 1, 1], [7, 1, 1, 1, 1]], {3: MEMORYLESS, 7: ATTENTION})
    assert [liv.sizes.liv_class.name for liv in model.livs] == ["GMemless", "SA-1"]
    with pytest.raises(InputError, match="LIV 1: class 1 is not in catalogue"):
        STARBackbone(64, 2, "11111-71111", {3: MEMORYLESS, 7: ATTENTION})


def test_options_reach_the_backbone() -> None:
    model = STARBackbone(64, 2, "11111-91111", residual="scaled", dropout=0.5, catalogue="paper")
    assert model.scales.shape == (2,)
    x = noise(1, 5, 64)
    assert not torch.equal(model.train()(x), model(x))
    assert torch.equal(model.eval()(x), model(x))


@pytest.mark.parametrize("genome", [[[1, 1, 1, 1]], [[1, 1, 1, 1, 1, 9], [1, 1, 1, 1]], []])
def test_rows_that_are_not_five_integers_are_refused(genome: list[list[int]]) -> None:
    with pytest.raises(InputError):
        STARBackbone(64, max(len(genome), 1), genome)


def test_an_illegal_genome_is_refused_naming_the_gene() -> None:
    with pytest.raises(InputError, match="LIV 2: feature strategy 2 is not legal for GMemless"):
        STARBackbone(64, 2, [[1, 1, 1, 1, 1], [9, 1, 1, 1, 2]], CONFIGS)


def test_a_config_that_no_class_has_is_refused_with_those_there_are() -> None:
    strange = LIVConfig(1, TokenMixingStructure.SCALED_TOEPLITZ, False, None, ChannelMixingStructure.DENSE)
    with pytest.raises(InputError, match=re.escape("config 4 asks for operator 13112, which no class of star has: 12123 (SA-1)")):
        STARBackbone(64, 1, "41111", {4: strange})


def test_an_unknown_nonlinearity_is_refused() -> None:
    with pytest.raises(InputError, match="unknown nonlinearity 'sotfmax'; did you mean 'softmax'"):
        LIVConfig(1, TokenMixingStructure.LOW_RANK, False, "sotfmax", ChannelMixingStructure.GROUPED)


@pytest.mark.parametrize(
    ("config", "digits"),
    [
        (ATTENTION, "12123"),
        (MEMORYLESS, "91142"),
        (LIVConfig(1, TokenMixingStructure.LOW_RANK, True, "softmax", ChannelMixingStructure.GROUPED), "12223"),
        (RECURRENCE, "54113"),
        (LIVConfig(7, TokenMixingStructure.SCALED_TOEPLITZ, False, "none", ChannelMixingStructure.DIAGONAL), "73111"),
    ],
)
def test_a_config_is_five_digits(config: LIVConfig, digits: str) -> None:
    assert config.operator.format() == digits


def test_repeat_factor_is_that_of_grouped_queries() -> None:
    """SA-1 whose keys and values serve two heads each is SA-4."""
    model = STARBackbone(64, 1, "11111", {1: replace(ATTENTION, repeat_factor=2)}, generator=torch.Generator().manual_seed(0))
    same = STARBackbone(64, 1, "41111", generator=torch.Generator().manual_seed(0))
    assert torch.equal(model(noise(1, 9, 64)), same(noise(1, 9, 64)))


def test_expansion_factor_is_the_state_size() -> None:
    model = STARBackbone(64, 1, "51111", {5: replace(RECURRENCE, expansion_factor=8)})
    (state,) = model.init_cache(1, 5).states
    assert state["state"].shape == (1, 4, 8, 16)


@pytest.mark.parametrize(
    ("config", "factor", "sentence"),
    [
        (MEMORYLESS, {"expansion_factor": 2}, "expansion_factor 2 has no meaning for token mixing DIAGONAL; it is for SEQUENTIAL_SEMI_SEP"),
        (RECURRENCE, {"repeat_factor": 2}, "repeat_factor 2 has no meaning for token mixing SEQUENTIAL_SEMI_SEPARABLE; it is for LOW_RANK"),
        (ATTENTION, {"repeat_factor": 0}, "repeat_factor must be a whole number from 1 to 64, got 0"),
        (RECURRENCE, {"expansion_factor": 1000}, "expansion_factor must be a whole number from 1 to 64, got 1000"),
        (ATTENTION, {"featurizer_class": 36}, "featurizer_class must be a whole number from 1 to 35, got 36"),
        (
            ATTENTION,
            {"token_mixing": 7},
            "token_mixing must be one of DIAGONAL, LOW_RANK, SCALED_TOEPLITZ, SEQUENTIAL_SEMI_SEPARABLE, got 7",
        ),
        (ATTENTION, {"token_mixing": "low"}, "token_mixing must be one of DIAGONAL, .*, got 'low'"),
        (ATTENTION, {"channel_mixing": 4}, "channel_mixing must be one of DIAGONAL, DENSE, GROUPED, got 4"),
        (ATTENTION, {"nonlinearity": ["softmax"]}, r"unknown nonlinearity '\['softmax'\]'"),
    ],
)
def test_values_without_a_meaning_are_refused(config: LIVConfig, factor: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=f"^{sentence}"):
        replace(config, **factor)


def test_a_factor_that_the_class_has_no_place_for_is_refused() -> None:
    with pytest.raises(InputError, match=r"heads, which SA-1 cannot share by 3"):
        STARBackbone(64, 1, "11111", {1: replace(ATTENTION, repeat_factor=3)})
    plain = {"A": [1, 2, 1, 1, 3], "B": [1, 2, 1, 1, 3], "v": [1, 2, 1, 1, 3]}
    row = {"name": "Plain", "operator": "e4113", "context": plain, "readout": {"C": [1, 2, 1, 1, 3], "gate": [1, 2, 1, 1, 3]}}
    own = load_catalogue({"name": "own", "version": 1, "classes": {1: row}})
    config = replace(RECURRENCE, featurizer_class=14, expansion_factor=2)
    with pytest.raises(InputError, match="config 1: Plain has one state each, which no expansion_factor changes; it must be 1"):
        STARBackbone(64, 1, "11111", {1: config}, catalogue=own)


@pytest.mark.parametrize(("config", "names"), [(ATTENTION, "kvq"), (RECURRENCE, ["A", "B", "v", "C", "gate"]), (MEMORYLESS, ["v", "gate"])])
def test_a_featurizer_gives_the_feature_groups_of_its_class(config: LIVConfig, names: list[str]) -> None:
    """Those that a LIV of the class computes with the same weights, but for the rotation of q and k."""
    featurizer, x = Featurizer(config, 64, generator=torch.Generator().manual_seed(0)), noise(2, 9, 64)
    liv = STARBackbone(64, 1, [[config.featurizer_class, 1, 1, 1, 1]], generator=torch.Generator().manual_seed(0)).livs[0]
    found, expected = featurizer(x), liv.featurize(x)
    assert list(found) == list(names)
    for name in found.keys() - {"q", "k"}:
        assert torch.equal(found[name], expected[name]), name
    if config is ATTENTION:
        assert torch.equal(rotate(found["k"], 16), expected["k"])
