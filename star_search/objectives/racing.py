"""Racing: a candidate stops at a rung of its budget when even an optimistic end of its loss curve would be dominated."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from star_search.config import SearchConfig
from star_search.errors import InputError
from star_search.objectives.registry import FROM_LOSS, Criteria
from star_search.runs.records import CandidateRecord, Outcome
from star_search.training.progress import Progress
from star_search.training.stability import Unhealthy


@dataclass(frozen=True, slots=True)
class Rivals:
    """What candidates that are told have reached: the front's objective values, and per rung the greatest fall of the loss (nats a
    token) from there to the validation loss of an `ok` candidate."""

    front: list[list[float]]
    falls: list[float]


class Standings:
    """Gathers what candidates have shown, in the order told, until there are enough to race against."""

    def __init__(self, config: SearchConfig) -> None:
        self.racing = config.racing
        self._falls = [0.0] * (len(config.racing.rungs) if config.racing else 0)
        self._finished = 0

    def learn(self, record: CandidateRecord) -> None:
        """Take in a candidate that is told."""
        if self.racing is None or record.outcome != Outcome.ok:
            return
        self._finished += 1
        falls = (rung["loss"] - record.details["validation_loss"] for rung in record.details["rungs"])
        self._falls = [max(known, fall) for known, fall in zip(self._falls, falls, strict=True)]

    def rivals(self, front: list[list[float]]) -> Rivals | None:
        """Return what a new candidate races against; none while too few have finished."""
        if self.racing is None or self._finished < self.racing.minimum_finished:
            return None
        return Rivals(front, list(self._falls))


class Race:
    """One candidate's way through the rungs.

    At a rung its validation loss is extrapolated as the recent training loss less the greatest fall that any finished candidate has
    shown from that rung on, times 1 + margin.
    """

    def __init__(
        self, config: SearchConfig, criteria: Criteria, known: dict[str, float], rivals: Rivals | None, bits_per_nat: float
    ) -> None:
        self.config, self.criteria, self.known, self.rivals = config, criteria, known, rivals
        self.from_loss: dict[str, Callable[[float], float]] = {"perplexity": math.exp, "bits_per_byte": lambda loss: loss * bits_per_nat}
        steps = config.training.steps
        self._steps = [math.ceil(fraction * steps) for fraction in config.racing.rungs] if config.racing else []
        self.rungs: list[dict[str, Any]] = []

    def observe(self, progress: Progress) -> None:
        """Judge the candidate where it has reached a rung.

        Raises:
            Unhealthy: with outcome `stopped`, when a rival dominates its optimistic end.
        """
        while len(self.rungs) < len(self._steps) and progress.step >= self._steps[len(self.rungs)]:
            rung: dict[str, Any] = {"step": progress.step, "loss": progress.loss}
            self.rungs.append(rung)
            if self.rivals is None or self.config.racing is None:
                continue
            fall = max(0.0, self.rivals.falls[len(self.rungs) - 1]) * (1 + self.config.racing.margin)
            rung["optimistic_loss"] = progress.loss - fall
            if self._is_dominated(rung["optimistic_loss"]):
                raise Unhealthy(
                    Outcome.stopped,
                    f"at step {progress.step} its loss {progress.loss:.3f} would end at {rung['optimistic_loss']:.3f} at best, dominated",
                )

    def _is_dominated(self, loss: float) -> bool:
        names = self.criteria.names
        own = [self.from_loss[name](loss) if name in self.from_loss else self.known[name] for name in names]
        front = self.rivals.front if self.rivals is not None else []
        return any(all(r <= o for r, o in zip(rival, own, strict=True)) and rival != own for rival in front)

    def details(self, validation_loss: float | None = None) -> dict[str, Any]:
        """Return the rungs for the record, each with the error of its extrapolation where the end is known."""
        if validation_loss is not None:
            for rung in self.rungs:
                if "optimistic_loss" in rung:
                    rung["error"] = rung["optimistic_loss"] - validation_loss
        return {"rungs": self.rungs} if self._steps else {}


def check_racing(config: SearchConfig, criteria: Criteria) -> None:
    """Refuse a race in which an objective is known only at the end.

    Raises:
        InputError: naming the objective.
    """
    for objective in criteria.objectives if config.racing else ():
        if not objective.kind.before_training and objective.name not in FROM_LOSS:
            raise InputError(f"racing needs objectives that are known before training or follow from the loss, got {objective.name}")
