"""Intervals and tests on few pairs, against values that can be counted by hand."""

import numpy as np
import pytest

from star_search.analysis.statistics import confidence_interval, paired_comparison, sign_flip_p_value, wilson_interval


def test_all_pairs_better_is_one_of_all_sign_assignments():
    assert sign_flip_p_value(np.array([1.0, 2.0, 3.0])) == 1 / 8
    assert sign_flip_p_value(np.array([-1.0, -2.0, -3.0])) == 1
    # Of the eight means 6, 4, 2, 0, 0, -2, -4, -6 (thirds), three are at least 2: 1 + 2 + 3, -1 + 2 + 3 and 1 - 2 + 3.
    assert sign_flip_p_value(np.array([1.0, -2.0, 3.0])) == 3 / 8


def test_many_pairs_are_drawn_and_never_give_zero():
    assert sign_flip_p_value(np.full(20, 0.1)) == pytest.approx(2.0**-20, abs=5e-5)
    assert sign_flip_p_value(np.full(20, 0.1)) > 0
    assert sign_flip_p_value(np.tile([0.1, -0.1], 10)) == pytest.approx(0.588, abs=0.01)


def test_the_interval_covers_the_mean_in_about_95_percent():
    rng = np.random.default_rng(5)
    inside = 0
    for _ in range(200):
        lower, upper = confidence_interval(rng.normal(size=20))
        inside += lower < 0 < upper
    assert 0.88 < inside / 200 < 0.98


def test_a_comparison_is_of_differences_by_seed():
    found = paired_comparison([1.1, 2.1, 3.1], [1.0, 2.0, 3.0])
    assert (found.pairs, found.p_value) == (3, 1 / 8)
    assert (found.mean, found.lower, found.upper) == pytest.approx((0.1, 0.1, 0.1))
    assert found.sentence() == ("mean difference +0.1000, 95 % interval +0.1000 to +0.1000; one-sided sign-flip test p = 0.125 (3 pairs)")


def test_wilson_s_interval_of_a_share():
    # 15 of 20: (0.75 + z^2 / 40 -+ z sqrt(0.75 * 0.25 / 20 + z^2 / 1600)) / (1 + z^2 / 20), z = 1.96.
    assert wilson_interval(0.75, 20) == pytest.approx((0.5313, 0.8881), abs=1e-4)
    assert wilson_interval(0.0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson_interval(1.0, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
