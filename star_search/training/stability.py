"""When a training is not worth going on with, and how that is told."""

from __future__ import annotations

import math

from star_search.config import TrainingConfig
from star_search.runs.records import Outcome

SMOOTHING_STEPS = 20
DIVERGENCE_NATS = 1.5


class Unhealthy(Exception):
    """A training that ended early; carries the candidate's outcome, the reason, and the tokens spent where training knows them."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome, self.reason = outcome, reason
        self.tokens = 0


class HealthMonitor:
    """Watches losses and gradient norms.

    `unstable`: a loss or gradient that is not finite, or a mean of the last 20 losses 1.5 nats above the first loss or the lowest such
    mean so far.
    `degenerate`: no gradient at all, or not under the unigram loss by the stated token.
    """

    def __init__(self, config: TrainingConfig, unigram_loss: float) -> None:
        self.config, self.unigram_loss = config, unigram_loss
        self.losses: list[float] = []
        self._lowest = math.inf

    def observe(self, loss: float, gradient_norm: float) -> None:
        """Take in one step.

        Raises:
            Unhealthy: when training should end.
        """
        step = len(self.losses) + 1
        if not math.isfinite(loss):
            raise Unhealthy(Outcome.unstable, f"the loss is {loss} at step {step}")
        if not math.isfinite(gradient_norm):
            raise Unhealthy(Outcome.unstable, f"the gradient norm is {gradient_norm} at step {step}")
        self.losses.append(loss)
        self._check_divergence(step)
        if gradient_norm == 0:
            raise Unhealthy(Outcome.degenerate, f"no parameter has a gradient at step {step}")
        self._check_deadline(step)

    def restore(self, losses: list[float]) -> None:
        """Take up where an earlier monitor had seen these losses, one a step."""
        self.losses = []
        for loss in losses:
            self.losses.append(loss)
            self._check_divergence(len(self.losses))

    def recent_loss(self) -> float:
        """Return the mean of the last 20 losses."""
        recent = self.losses[-SMOOTHING_STEPS:]
        return sum(recent) / len(recent)

    def _check_divergence(self, step: int) -> None:
        smoothed = self.recent_loss()
        if step == 1 or step >= SMOOTHING_STEPS:
            self._lowest = min(self._lowest, smoothed)
        if smoothed > self._lowest + DIVERGENCE_NATS:
            raise Unhealthy(Outcome.unstable, f"the loss rose from {self._lowest:.2f} to {smoothed:.2f} by step {step}")

    def _check_deadline(self, step: int) -> None:
        deadline = self.config.unigram_deadline_tokens
        if deadline is None or step != -(-deadline // self.config.batch_tokens):
            return
        if self.recent_loss() >= self.unigram_loss:
            raise Unhealthy(
                Outcome.degenerate,
                f"after {step * self.config.batch_tokens:,} tokens the loss is {self.recent_loss():.3f}, "
                f"not under the unigram's {self.unigram_loss:.3f}",
            )
