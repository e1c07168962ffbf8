"""Measuring operators: exponents, spread, and the refusal to time a wrong form."""

import dataclasses
from unittest import mock

import numpy as np
import pytest
import torch

from helpers import STAR
from star_search.benchmark import operators
from star_search.benchmark.operators import ClassCost, Duration, Point, Setting, claims_linear_time, exponent, form_error, measure
from star_search.errors import StarSearchError
from star_search.liv.convolution import ShortConvolution

SETTING = Setting("star", width=32, batch=1, lengths=(16, 32), threads=1, repeats=3, device="cpu")


@pytest.mark.parametrize("power", [0.0, 1.0, 1.15, 2.0])
def test_the_exponent_of_a_power_is_the_power(power: float) -> None:
    lengths = [512, 1024, 2048, 4096]
    assert exponent(lengths, [3e-4 * length**power for length in lengths]) == pytest.approx(power)


def test_the_exponent_is_that_of_least_squares() -> None:
    """Costs 1, 2, 8 at lengths 1, 2, 4: deviations of log2 length are -1, 0, 1, and the slope is (3 - 0) / 2."""
    assert exponent([1, 2, 4], [1, 2, 8]) == pytest.approx(1.5)


def test_a_duration_is_the_median_and_the_quartiles() -> None:
    assert Duration.of([5.0, 1.0, 2.0, 4.0, 3.0]) == Duration(3.0, 2.0, 4.0)
    assert Duration.of([2.0]) == Duration(2.0, 2.0, 2.0)


def test_all_but_softmax_attention_over_the_whole_sequence_claim_linear_time() -> None:
    quadratic = [each.name for each in STAR.classes.values() if not claims_linear_time(each)]
    assert quadratic == ["SA-1", "SA-3", "SA-4", "SA-1-Diff", "SA-3-Diff", "SA-4-Diff", "SA-Conv", "SA-Conv-Diff"]


def test_a_point_has_positive_times_that_add_up() -> None:
    (point,) = measure(SETTING, 1, [64])
    assert 0 < point.forward.low <= point.forward.median <= point.forward.high
    assert point.total.low >= point.forward.low + point.backward.low
    assert point.length == 64


def test_the_peak_memory_is_that_of_the_tensors_held() -> None:
    """GConv-1 keeps for its backward pass B, C, v, their products and its output, each T x D in fp32; and far fewer than fifty such."""
    setting = dataclasses.replace(SETTING, width=256)
    (cost,) = operators.measure_classes(dataclasses.replace(setting, lengths=(16384,)), [7])
    tensor = 4 * 16384 * 256
    assert 5 * tensor < cost.points[0].peak_bytes < 50 * tensor


@pytest.mark.parametrize("class_id", STAR.ids)
def test_every_class_may_be_timed(class_id: int) -> None:
    assert form_error(SETTING, class_id) < operators.CHECK_TOLERANCE


def test_a_wrong_form_is_not_timed() -> None:
    right = ShortConvolution.mix
    with mock.patch.object(ShortConvolution, "mix", lambda self, features: 1.001 * right(self, features)):
        error = form_error(SETTING, 7)
    assert error == pytest.approx(1e-3, rel=0.1)
    with pytest.raises(StarSearchError, match=r"the fast form of GConv-1 differs .* by 1.0e-03 at 300 tokens, and 1e-04 is allowed; wrong"):
        operators._agree("GConv-1", error)
    with pytest.raises(StarSearchError):
        operators._agree("GConv-1", float("nan"))


def test_costs_as_json_are_plain() -> None:
    points = tuple(Point(length, *[Duration(length / 1e6, 0.0, 1.0)] * 3, peak_bytes=100 * length) for length in (512, 1024))
    values = ClassCost(1, "SA-1", "attention", False, points).as_json()
    assert values["time_exponent"] == pytest.approx(1)
    assert values["points"][1]["total"]["median"] == 1024 / 1e6
    assert values["memory_exponent"] == pytest.approx(1)


def test_measuring_leaves_no_gradient_of_one_pass_in_the_next() -> None:
    liv, x_BTD = operators.build(SETTING, 1, 16, batch=2)
    operators.passes(liv, x_BTD, "cpu")
    first = x_BTD.grad.clone()
    operators.passes(liv, x_BTD, "cpu")
    assert torch.equal(x_BTD.grad, first)
    assert np.isfinite(first.numpy()).all()
