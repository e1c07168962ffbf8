"""The choice of a learning rate from what every rate of a grid reached."""

import pytest

from star_search.finalists.tuning import Tuning, read_rates


def result(validation, test):
    return {"validation": {"perplexity": validation}, "test": {"perplexity": test}}


def test_validation_chooses_whatever_the_test_split_says():
    assert Tuning.of({0.001: result(9.0, 1.0), 0.002: result(5.0, 8.0), 0.004: result(7.0, 2.0)}).best == 0.002


@pytest.mark.parametrize(
    ("reached", "best", "at_edge"),
    [
        ([9.0, 5.0, 7.0], 2.0, False),
        ([4.0, 5.0, 7.0], 1.0, True),
        ([9.0, 5.0, 3.0], 3.0, True),
        ([9.0, 5.0, "diverged"], 2.0, False),
        (["diverged", "diverged", 90.0], 3.0, True),
        ([5.0, 5.0, 7.0], 1.0, True),
        (["diverged", "diverged", "diverged"], None, False),
        ([6.0], 1.0, True),
    ],
)
def test_a_training_that_failed_is_worse_than_any(reached, best, at_edge):
    tuning = Tuning({float(rate): value for rate, value in enumerate(reached, 1)})
    assert (tuning.best, tuning.is_at_edge) == (best, at_edge)


def test_a_grid_is_read_lowest_first():
    assert read_rates("4e-3, 1e-3,2e-3") == [0.001, 0.002, 0.004]


def test_trainings_that_ended_in_any_order_are_told_by_rate():
    trained = {rate: {"validation": {"perplexity": value}} for rate, value in ((0.004, 7.0), (0.001, 9.0))} | {0.002: "diverged"}
    tuning = Tuning.of(trained)
    assert [each["learning_rate"] for each in tuning.as_json()["grid"]] == [0.001, 0.002, 0.004]
    assert tuning.cells()[1:] == ["9.000", "failed", "7.000"]
