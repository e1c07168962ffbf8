"""The learning rate in closed form."""

import math

import pytest

from star_search.config import TrainingConfig
from star_search.training.schedule import learning_rate


def config(schedule="cosine", **changes):
    """110 steps, 10 of them warm-up, from 1.0 down to 0.1."""
    values = {"tokens": 110 * 64, "sequence_length": 32, "batch_tokens": 64, "learning_rate": 1.0, "warmup_steps": 10}
    return TrainingConfig(schedule=schedule, final_learning_rate_fraction=0.1, **values | changes)


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_warm_up_rises_in_equal_steps_to_the_peak(schedule):
    rates = [learning_rate(config(schedule), step) for step in range(11)]
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.0])


@pytest.mark.parametrize(
    ("schedule", "at"),
    [
        # 0.1 + 0.9 (1 + cos(pi p)) / 2 with p = 0, 1/4, 1/2, 3/4 and 0.99 of the way.
        ("cosine", {10: 1.0, 35: 0.55 + 0.45 * math.sqrt(0.5), 60: 0.55, 85: 0.55 - 0.45 * math.sqrt(0.5), 109: 0.1002220}),
        ("linear", {10: 1.0, 35: 0.775, 60: 0.55, 85: 0.325, 109: 0.109}),
        ("constant", {10: 1.0, 60: 1.0, 109: 1.0}),
    ],
)
def test_the_rate_after_warm_up(schedule, at):
    assert {step: learning_rate(config(schedule), step) for step in at} == pytest.approx(at, abs=1e-6)


def test_without_warm_up_the_first_step_is_at_the_peak():
    assert learning_rate(config(warmup_steps=0), 0) == 1.0


def test_a_warm_up_longer_than_the_training_only_rises():
    short = config(warmup_steps=200)
    assert [learning_rate(short, step) for step in (0, 109)] == pytest.approx([0.005, 0.55])


def test_a_budget_is_rounded_up_to_whole_steps():
    assert config(tokens=6400).steps == 100
    assert config(tokens=6401).steps == 101
    assert config(tokens=1).steps == 1
    assert config().rows == 2
