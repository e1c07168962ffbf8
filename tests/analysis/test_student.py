"""Student's t against tables, and a paired test by hand."""

import math

import pytest

from star_search.analysis.student import holm, mean_interval, paired_p_value, t_probability, t_quantile


@pytest.mark.parametrize(("degrees", "quantile"), [(1, 12.7062), (2, 4.30265), (3, 3.18245), (4, 2.77645), (9, 2.26216), (30, 2.04227)])
def test_quantiles_of_the_table(degrees, quantile):
    assert t_quantile(0.95, degrees) == pytest.approx(quantile, rel=1e-5)
    assert t_probability(quantile, degrees) == t_probability(-quantile, degrees) == pytest.approx(0.95, abs=1e-6)


def test_an_interval_and_a_test_by_hand():
    # Mean 2, standard deviation 1: half-width 4.30265 / sqrt(3).
    assert mean_interval([1.0, 2.0, 3.0]) == pytest.approx((2 - 4.30265 / math.sqrt(3), 2 + 4.30265 / math.sqrt(3)), rel=1e-5)
    # Differences 1, 2, 3: t = 2 sqrt(3); with two degrees of freedom p = 1 - t / sqrt(t^2 + 2).
    t = 2 * math.sqrt(3)
    assert paired_p_value([2.0, 4.0, 6.0], [1.0, 2.0, 3.0]) == pytest.approx(1 - t / math.sqrt(t * t + 2))


def test_without_spread_or_pairs():
    assert (paired_p_value([1.0, 2.0], [1.0, 2.0]), paired_p_value([2.0, 3.0], [1.0, 2.0])) == (1.0, 0.0)
    assert mean_interval([1.0]) is paired_p_value([1.0], [2.0]) is None


def test_holm_corrects_the_smallest_most_and_never_falls():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
