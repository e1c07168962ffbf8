"""The survival of AGE-MOEA-II: its geometry on fronts that are known, and pymoo's own figures where numba is there to compute them."""

import numpy as np
import pytest
from pymoo.core.population import Population
from pymoo.core.problem import Problem

from star_search.evolution.geometry import GeometrySurvival, _along_front, spread


def sphere(p: float, count: int = 41) -> np.ndarray:
    """Return points of the positive part of the L_p unit sphere in the plane."""
    x = np.linspace(0, 1, count)
    return np.stack([x, (1 - x**p) ** (1 / p)], axis=1)


@pytest.mark.parametrize("p", [0.5, 1.0, 2.0, 3.0])
def test_the_curvature_of_a_sphere_is_its_p_and_its_scale_its_intercepts(p):
    score, found, scale = spread(sphere(p) * [3.0, 0.2])
    assert found == pytest.approx(p, abs=0.02)
    assert scale == pytest.approx([3.0, 0.2])
    assert np.flatnonzero(np.isinf(score)).tolist() == [0, 40]


def survivors(F: np.ndarray, count: int) -> np.ndarray:
    pop = Population.new("F", F)
    return GeometrySurvival().do(Problem(n_var=1, n_obj=F.shape[1]), pop, n_survive=count).get("F")


def test_what_survives_is_spread_and_never_dominated_by_what_does_not():
    kept = survivors(np.concatenate([sphere(2.0), sphere(2.0) + 0.5]), 11)
    assert np.linalg.norm(kept, axis=1) == pytest.approx(np.ones(11))
    angles = np.sort(np.arctan2(kept[:, 1], kept[:, 0]))
    assert (angles[0], angles[-1]) == pytest.approx((0, np.pi / 2))
    assert np.diff(angles).max() < 3 * np.pi / 2 / 10


@pytest.mark.parametrize("F", [np.ones((9, 2)), np.ones((1, 3)), np.array([[1.0, 2.0], [1.0, 3.0], [2.0, 2.0]]), np.eye(3)])
def test_degenerate_fronts_survive_without_a_warning(F):
    with np.errstate(all="raise"):
        assert len(survivors(F, min(len(F), 3))) == min(len(F), 3)


@pytest.mark.slow
@pytest.mark.parametrize("objectives", [2, 3])
def test_curvature_scale_and_distances_are_those_of_pymoo(objectives):
    """Not the scores: pymoo divides a distance by the proximity of the other point, where the paper has that of the point scored."""
    pytest.importorskip("numba")
    from pymoo.algorithms.moo.age2 import AGEMOEA2Survival

    for seed in range(5):
        front = np.abs(np.random.default_rng(seed).normal(size=(25, objectives)))
        front /= np.linalg.norm(front, axis=1)[:, None]
        front -= front.min(0)
        _, p, scale = AGEMOEA2Survival().survival_score(front.copy(), np.zeros(objectives))
        _, found, our_scale = spread(front)
        assert (found, our_scale) == (pytest.approx(p, rel=1e-6), pytest.approx(scale))
        theirs = AGEMOEA2Survival.pairwise_distances(front / scale, p)
        assert _along_front(front / scale, p) == pytest.approx(theirs, rel=1e-6)
