"""When a training ends early, and as what."""

import math

import pytest

from star_search.config import TrainingConfig
from star_search.runs.records import Outcome
from star_search.training.stability import HealthMonitor, Unhealthy

UNIGRAM = 3.0


def monitor(deadline=None):
    config = TrainingConfig(tokens=64_000, sequence_length=32, batch_tokens=64, unigram_deadline_tokens=deadline)
    return HealthMonitor(config, UNIGRAM)


def feed(watch, losses, gradient_norm=1.0):
    """Feed losses; return the step, outcome and reason of the end, or nothing."""
    for step, loss in enumerate(losses, 1):
        try:
            watch.observe(loss, gradient_norm)
        except Unhealthy as error:
            return step, error.outcome, error.reason
    return None


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_is_unstable(loss):
    assert feed(monitor(), [4.0, 4.0, loss]) == (3, Outcome.unstable, f"the loss is {loss} at step 3")


@pytest.mark.parametrize("norm", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_is_unstable(norm):
    assert feed(monitor(), [4.0], norm) == (1, Outcome.unstable, f"the gradient norm is {norm} at step 1")


def test_no_gradient_is_degenerate():
    assert feed(monitor(), [4.0], 0.0) == (1, Outcome.degenerate, "no parameter has a gradient at step 1")
    assert feed(monitor(), [4.0], 1e-30) is None


class TestDivergence:
    def test_ends_when_the_mean_of_twenty_is_1_5_nats_above_its_lowest(self):
        # Twenty losses of 2, then of 4: after n of these the mean is 2 + n / 10, above 3.5 from n = 16 on.
        assert feed(monitor(), [2.0] * 20 + [4.0] * 20) == (36, Outcome.unstable, "the loss rose from 2.00 to 3.60 by step 36")

    def test_a_rise_of_1_5_nats_is_borne(self):
        assert feed(monitor(), [2.0] * 20 + [3.5] * 200) is None

    def test_one_spike_is_borne(self):
        assert feed(monitor(), [2.0] * 20 + [30.0] + [2.0] * 30) is None

    def test_the_lowest_mean_counts_not_the_last(self):
        slow = [2.0 + step / 100 for step in range(400)]
        step, outcome, _ = feed(monitor(), [2.0] * 20 + slow)
        assert outcome == Outcome.unstable
        # The mean lags 9.5 steps behind: it is 3.5 when the loss is 2 + 1.595.
        assert step == 20 + 161

    def test_the_start_of_a_training_may_fall_from_any_height(self):
        assert feed(monitor(), [50.0 - step for step in range(45)]) is None


class TestDeadline:
    def test_not_under_the_unigram_by_then_is_degenerate(self):
        reason = "after 640 tokens the loss is 3.000, not under the unigram's 3.000"
        assert feed(monitor(640), [3.0] * 50) == (10, Outcome.degenerate, reason)

    def test_just_under_it_goes_on_and_is_not_asked_again(self):
        assert feed(monitor(640), [2.999] * 10 + [3.5] * 40) is None

    def test_the_mean_of_the_last_twenty_counts(self):
        assert feed(monitor(640), [5.0] * 2 + [2.0] * 8) is None
        assert feed(monitor(64 * 30), [9.0] * 15 + [2.9] * 15)[:2] == (30, Outcome.degenerate)

    def test_the_deadline_is_rounded_up_to_a_step(self):
        assert feed(monitor(577), [3.0] * 50)[0] == 10
        assert feed(monitor(576), [3.0] * 50)[0] == 9

    def test_without_one_nothing_is_asked(self):
        assert feed(monitor(), [9.0] * 100) is None


def test_recent_loss_is_the_mean_of_the_last_twenty():
    watch = monitor()
    feed(watch, [100.0] * 5 + [float(step) / 20 for step in range(20)])
    assert watch.recent_loss() == pytest.approx(9.5 / 20)
