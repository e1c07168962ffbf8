"""Which candidate of a run is the best, by what the user asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from star_search.analysis.fronts import front_of, knee
from star_search.analysis.run_view import RunView
from star_search.errors import InputError, did_you_mean
from star_search.objectives.listing import value_of
from star_search.objectives.registry import KINDS, Constraint, Objective, parse_constraint, parse_objective
from star_search.runs.records import CandidateRecord, Outcome

KNEE = "knee"


@dataclass(frozen=True)
class Selection:
    """The best candidate by one objective, or the knee, among those that meet every condition.

    The front comes first; where none of it meets the conditions, every other `ok` candidate is looked at.

    Raises:
        InputError: for an unknown objective or a condition that cannot be read.
    """

    view: RunView
    by: str | None = None
    where: Sequence[str] = ()

    def __post_init__(self) -> None:
        name = self.order.partition("@")[0]
        if name not in (*KINDS, KNEE):
            raise InputError(f"--by {name} is no objective{did_you_mean(name, [*KINDS, KNEE])}")
        self._sort_key, self._constraints  # noqa: B018 - what is wrong with them shows here

    @property
    def order(self) -> str:
        """What the candidates are ordered by: perplexity where the run has it, its first objective otherwise."""
        return self.by or ("perplexity" if "perplexity" in self.view.names else self.view.names[0])

    @cached_property
    def _sort_key(self) -> Objective | None:
        return None if self.order == KNEE else parse_objective(self.order, self._length)

    @cached_property
    def _constraints(self) -> list[Constraint]:
        return [parse_constraint(text, self._length) for text in self.where]

    @property
    def _length(self) -> int:
        return self.view.config.training.sequence_length

    def best(self) -> CandidateRecord:
        """Return the best candidate.

        Raises:
            InputError: when no candidate ended ok, or none meets the conditions.
        """
        finished = [record for record in self.view.records if record.outcome == Outcome.ok]
        if not finished:
            raise InputError(f"{self.view.run.path} has no candidate that ended ok, so there is nothing to export")
        fitting = self._fitting(self.view.front) or front_of(self._fitting(finished), self.view.names)
        if not fitting and not self.where:
            raise InputError(f"{self.view.run.path} has no front that can be read")
        if not fitting:
            raise InputError(self._why_none(finished))
        if self._sort_key is None:
            return knee(fitting, self.view.names)
        return min(fitting, key=self._rank)

    def _fitting(self, records: list[CandidateRecord]) -> list[CandidateRecord]:
        return [record for record in records if self._violation(record) <= 0]

    def _violation(self, record: CandidateRecord) -> float:
        return max((each.violation(self._value(record, each.objective)) for each in self._constraints), default=0.0)

    def _rank(self, record: CandidateRecord) -> tuple[float, ...]:
        assert self._sort_key is not None
        return self._value(record, self._sort_key), *(record.objectives[name] for name in self.view.names), record.id

    def _value(self, record: CandidateRecord, objective: Objective) -> float:
        value = value_of(self.view, record, objective)
        if value is None:
            raise InputError(f"candidate {record.id} of {self.view.run.path} has no {objective.name} on record")
        return value

    def _why_none(self, records: list[CandidateRecord]) -> str:
        nearest = min(records, key=self._violation)
        broken = max(self._constraints, key=lambda each: each.violation(self._value(nearest, each.objective)))
        sentence = broken.sentence(self._value(nearest, broken.objective))
        return (
            f"no candidate of {self.view.run.path} has {' and '.join(self.where)}: the nearest is candidate {nearest.id}, whose {sentence}"
        )


def find_candidate(view: RunView, number: int) -> CandidateRecord:
    """Return one candidate by its id.

    Raises:
        InputError: when there is none, or it has no model.
    """
    record = view.candidate(number)
    if record.outcome != Outcome.ok:
        raise InputError(f"candidate {number} of {view.run.path} ended {record.outcome} ({record.reason}), so it has no model to export")
    return record
