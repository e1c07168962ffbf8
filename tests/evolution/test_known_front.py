"""The test problem: its front is attained by real genomes and beaten by none."""

from itertools import product

import numpy as np
import pytest

from star_search.evolution.known_front import GAINS, KnownFront
from star_search.genome.encoding import Genome, LIVGenes


@pytest.fixture(scope="module")
def problem():
    return KnownFront()


def test_every_point_is_attained_by_a_legal_genome(problem):
    assert len(problem.front) > 30
    for point in problem.front:
        assert problem.space.rules.problems(point.genome) == []
        assert problem.objectives(point.genome) == (pytest.approx(point.loss), point.cache_bytes)


def test_points_trade_loss_for_cache(problem):
    losses, caches = zip(*((point.loss, point.cache_bytes) for point in problem.front), strict=True)
    assert list(caches) == sorted(set(caches))
    assert list(losses) == sorted(set(losses), reverse=True)


@pytest.mark.parametrize("depth", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_of_all_genomes_of_a_small_depth_none_is_beyond_the_front(depth):
    """Fewer than four LIVs need one group of each kind: another one is as good as no membership."""
    small = KnownFront(depth=depth)
    livs = [
        LIVGenes(liv_class, 1, tied, 1, shared)
        for liv_class in GAINS
        for tied, shared in product((1, 2), small.space.rules.catalogue[liv_class].feature_strategies)
    ]
    genomes = (Genome(stack) for stack in product(livs, repeat=depth))
    canonical = {genome.canonical() for genome in genomes if not small.space.rules.problems(genome)}
    values = {(round(loss, 9), cache) for loss, cache in map(small.objectives, canonical)}
    front = {(round(point.loss, 9), point.cache_bytes) for point in small.front}
    undominated = {one for one in values if not any(other[0] <= one[0] and other[1] <= one[1] and other != one for other in values)}
    assert undominated == front


def test_random_genomes_dominate_less_than_the_front(problem):
    rng = np.random.default_rng(1)
    values = np.array([problem.objectives(problem.space.sample(rng).genome) for _ in range(300)])
    assert 0.3 < problem.hypervolume_of(values) / problem.hypervolume < 0.95
    for loss, cache in values:
        assert not any(loss < point.loss - 1e-9 and cache <= point.cache_bytes for point in problem.front)


def test_the_hypervolume_is_the_area_under_the_staircase(problem):
    shares = [(point.cache_bytes / problem.reference_point[1], point.loss / problem.reference_point[0]) for point in problem.front]
    ends = [cache for cache, _ in shares[1:]] + [1.0]
    area = sum((end - cache) * (1 - loss) for (cache, loss), end in zip(shares, ends, strict=True))
    assert problem.hypervolume == pytest.approx(area)
