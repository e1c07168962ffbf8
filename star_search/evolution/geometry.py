"""Survival of AGE-MOEA-II (Panichella, GECCO 2022): spread along the front's own geometry, an L_p unit sphere whose p is estimated.

The rule of pymoo's `AGEMOEA2` in NumPy: that one needs numba, and divides by zero where a front is one point. M points, N objectives.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.survival import Survival
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

FloatArray = NDArray[np.float64]

SMALL = 1e-8
NEWTON_STEPS = 100
PRECISION = 1e-3


class GeometrySurvival(Survival):
    """Fills the next population front by front; the last front that does not fit is cut by survival score."""

    def __init__(self) -> None:
        super().__init__(filter_infeasible=True)

    def _do(self, problem: Problem, pop: Population, *args: Any, n_survive: int, **kwargs: Any) -> Population:
        F = pop.get("F").astype(float)
        fronts = NonDominatedSorting().do(F, n_stop_if_ranked=n_survive)
        ideal = F[fronts[0]].min(0)
        first_score, p, scale = spread(F[fronts[0]] - ideal)
        survivors: list[int] = []
        for rank, front in enumerate(fronts):
            score = first_score if rank == 0 else _proximity(F[front] / scale, ideal, p)
            pop[front].set("rank", rank, "crowding", score)
            survivors += front[np.argsort(-score, kind="stable")][: n_survive - len(survivors)].tolist()
        return pop[survivors]


def _proximity(points_MN: FloatArray, ideal_N: FloatArray, p: float) -> FloatArray:
    return 1 / np.maximum(_norm(points_MN - ideal_N, p), SMALL)


def spread(front_MN: FloatArray) -> tuple[FloatArray, float, FloatArray]:
    """Return survival scores [M], p and the scale [N] of a front whose ideal point is the origin."""
    count, objectives = front_MN.shape
    if count < objectives:
        return np.zeros(count), 1.0, _positive(front_MN.max(0))
    extremes = _extremes(front_MN)
    scale_N = _intercepts(front_MN, extremes)
    scaled_MN = front_MN / scale_N
    p = _curvature(scaled_MN, extremes)
    size_M = _norm(scaled_MN, p)
    distance_MM = np.maximum(_along_front(scaled_MN, p), SMALL) / np.where(size_M < SMALL, 1.0, size_M)[:, None]
    return _greedy_scores(distance_MM, extremes), p, scale_N


def _extremes(front_MN: FloatArray) -> list[int]:
    """Return for every axis the point nearest to it that is not another axis's already."""
    count, objectives = front_MN.shape
    if count <= objectives:
        return list(range(count))
    found: list[int] = []
    for axis_N in np.eye(objectives) + 1e-6:
        along_M = front_MN @ axis_N / (axis_N @ axis_N)
        distance_M = ((front_MN - along_M[:, None] * axis_N) ** 2).sum(1)
        distance_M[found] = np.inf
        found.append(int(distance_M.argmin()))
    return found


def _intercepts(front_MN: FloatArray, extremes: list[int]) -> FloatArray:
    """Return where the hyperplane through the extremes meets the axes, or the largest values where there is none."""
    try:
        plane_N = np.linalg.solve(front_MN[extremes], np.ones(len(extremes)))
    except np.linalg.LinAlgError:
        return _positive(front_MN.max(0))
    usable = bool(np.isfinite(plane_N).all() and (plane_N > 0).all())
    return 1 / plane_N if usable else _positive(front_MN.max(0))


def _positive(scale_N: FloatArray) -> FloatArray:
    return np.where(scale_N > 0, scale_N, 1.0)


def _curvature(front_MN: FloatArray, extremes: list[int]) -> float:
    """Return the p for which the point nearest to the ideal lies on the L_p unit sphere, between 0.1 and 20; 1 where none does."""
    distance_M = np.linalg.norm(front_MN, axis=1)
    distance_M[extremes] = np.inf
    point_N = front_MN[int(distance_M.argmin())]
    logs = np.log(point_N[point_N > 0] + 1e-10)
    p = 1.0
    for _ in range(NEWTON_STEPS):
        powers = np.exp(np.minimum(p * logs, 700.0))
        slope = float(powers @ logs / powers.sum()) if len(logs) else 0.0
        if slope == 0 or not np.isfinite(slope):
            return 1.0
        step = float(np.log(powers.sum())) / slope
        p -= step
        if abs(step) <= PRECISION:
            break
    return min(p, 20.0) if np.isfinite(p) and p > 0.1 else 1.0


def _norm(points: FloatArray, p: float) -> FloatArray:
    return (np.abs(points) ** p).sum(-1) ** (1 / p)


def _project(points: FloatArray, p: float) -> FloatArray:
    """Move points along their rays onto the L_p unit sphere; the origin stays."""
    size = _norm(np.maximum(points, 0), p)[..., None]
    return points / np.where(size > 0, size, 1.0)


def _along_front(front_MN: FloatArray, p: float) -> FloatArray:
    """Return distances [M, M] between projected points, over the projected middle where the sphere is curved."""
    points_MN = _project(front_MN, p)
    one, other = points_MN[:, None], points_MN[None]
    if 0.95 < p < 1.05:
        return np.linalg.norm(one - other, axis=-1)
    middle = _project((one + other) / 2, p)
    distance_MM = np.linalg.norm(one - middle, axis=-1) + np.linalg.norm(other - middle, axis=-1)
    np.fill_diagonal(distance_MM, 0)
    return distance_MM


def _greedy_scores(distance_MM: FloatArray, extremes: list[int]) -> FloatArray:
    """Score extremes as infinite, then time and again the point farthest from its two nearest that are scored."""
    score_M = np.zeros(len(distance_MM))
    score_M[extremes] = np.inf
    scored, left = list(extremes), [index for index in range(len(distance_MM)) if index not in set(extremes)]
    while left:
        nearest = np.sort(distance_MM[np.ix_(left, scored)], axis=1)[:, :2].sum(1)
        best = int(nearest.argmax())
        score_M[left[best]] = nearest[best]
        scored.append(left.pop(best))
    return score_M
