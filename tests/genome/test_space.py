"""The search space: what it refuses, what it draws."""

import re

import numpy as np
import pytest

from helpers import STAR
from star_search import SearchSpace
from star_search.config import SpaceConfig
from star_search.errors import InputError


def space(**values: object) -> SearchSpace:
    return SearchSpace.from_config(SpaceConfig(**values))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"catalogue": "stra"}, "unknown catalogue 'stra'; did you mean 'star'?"),
        ({"classes": ["SA1"]}, "catalogue star has no LIV class 'SA1'; did you mean 'SA-1'?"),
        ({"classes": [99]}, "catalogue star has no LIV class 99; it has 1 to 27"),
        ({"classes": []}, "space.classes must name at least one class"),
        ({"classes": [9]}, "space.classes holds no class that mixes tokens, and space.minimum_mixers is 1"),
        ({"depth": 3, "minimum_mixers": 4}, "space.minimum_mixers must be at most space.depth (3), got 4"),
    ],
)
def test_a_space_that_cannot_be_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        space(**values)


def test_classes_are_named_by_id_or_name_and_counted_once() -> None:
    assert space(classes=["sa-1", 9, "1", "GMemless"]).rules.classes == (1, 9)
    assert space().rules.classes == tuple(STAR.ids)


@pytest.mark.parametrize(("depth", "groups", "expected"), [(1, None, 1), (8, None, 2), (24, None, 3), (4, 3, 3), (2, 9, 2)])
def test_the_number_of_groups_follows_the_depth(depth: int, groups: int | None, expected: int) -> None:
    assert space(depth=depth, groups=groups).rules.groups == expected


@pytest.mark.parametrize(
    "values", [{}, {"depth": 3, "classes": [9, 1], "minimum_mixers": 3}, {"sharing": False}, {"groups": 1, "depth": 24}]
)
def test_samples_are_legal_within_bounds_and_follow_the_seed(values: dict[str, object]) -> None:
    drawn = space(**values)
    lower, upper = drawn.bounds()
    assert lower.shape == upper.shape == (drawn.size,) == (5 * drawn.depth,)
    for seed in range(100):
        genome = drawn.sample(np.random.default_rng(seed)).genome
        assert drawn.rules.problems(genome) == []
        assert (lower <= genome.integers()).all()
        assert (genome.integers() <= upper).all()
        assert drawn.sample(np.random.default_rng(seed)).genome == genome
        assert genome.depth == drawn.depth


def test_bounds_are_reached() -> None:
    drawn = space(depth=2, classes=[1, 5, 9], groups=2)
    samples = np.array([drawn.sample(np.random.default_rng(seed)).genome.integers() for seed in range(2000)])
    assert (samples.min(0) == drawn.bounds()[0]).all()
    assert (samples.max(0) == drawn.bounds()[1]).all()


def test_samples_have_every_class_and_every_strategy() -> None:
    drawn = space(depth=8)
    livs = [liv for seed in range(300) for liv in drawn.sample(np.random.default_rng(seed)).genome.livs]
    for class_id in STAR.ids:
        assert {liv.feature_strategy for liv in livs if liv.liv_class == class_id} == set(STAR[class_id].feature_strategies)
        assert {liv.featurizer_strategy for liv in livs if liv.liv_class == class_id} == {1, 2}


def test_minimum_mixers_holds_after_sampling_and_repair() -> None:
    drawn = space(depth=4, classes=[1, 9], minimum_mixers=3)
    for seed in range(50):
        genome = drawn.sample(np.random.default_rng(seed)).genome
        assert sum(liv.liv_class == 1 for liv in genome.livs) >= 3


def test_without_sharing_nothing_is_shared() -> None:
    drawn = space(depth=8, sharing=False)
    genomes = [drawn.sample(np.random.default_rng(seed)).genome for seed in range(30)]
    assert all(genome.sharing().groups == () for genome in genomes)
    assert drawn.legal_values(genomes[0].integers(), 4) == (1,)
