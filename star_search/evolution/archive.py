"""What a search must know of its candidates: the arrays that pymoo is told, and the front."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from star_search.analysis.fronts import front_of
from star_search.objectives.registry import Criteria
from star_search.runs.records import CandidateRecord, Outcome, lost_tokens, spent_tokens

FloatArray = NDArray[np.float64]


@dataclass
class Archive:
    """Records by id, without what only the run directory needs; all but the front's can be let go of, so that memory stays flat."""

    criteria: Criteria
    worst: list[float]
    records: dict[int, CandidateRecord] = field(default_factory=dict)
    tokens: int = 0
    _front: list[int] = field(default_factory=list)

    def add(self, record: CandidateRecord) -> None:
        """Take in a record."""
        self.records[record.id] = replace(record, details=_raced(record), lineage={}, measured={"lost_tokens": lost_tokens(record)})
        self.tokens += spent_tokens(record)

    def settle(self, ids: Iterable[int]) -> None:
        """Let candidates count towards the front."""
        fit = [number for number in ids if max(self._violations(self.records[number])) <= 0]
        considered = [self.records[number] for number in dict.fromkeys((*self._front, *fit))]
        self._front = sorted(each.id for each in front_of(considered, self.criteria.names))

    def keep(self, ids: Iterable[int]) -> None:
        """Let go of all records but these and the front's."""
        kept = {*ids, *self._front}
        self.records = {number: record for number, record in self.records.items() if number in kept}

    def objective_array(self, ids: Iterable[int]) -> FloatArray:
        """Return objective values as shares of the reference point [n, objectives]; a candidate that has none stands at the point."""
        rows = [self.records[number].objectives for number in ids]
        worst = np.array(self.worst, dtype=float)
        values = [[row.get(name, bound) for name, bound in zip(self.criteria.names, self.worst, strict=True)] for row in rows]
        return np.array(values, dtype=float) / np.where(worst > 0, worst, 1.0)

    def constraint_array(self, ids: Iterable[int]) -> FloatArray:
        """Return violations [n, 1 + constraints]: the first is 1 for a failure, 0.5 for a candidate stopped in a race, -1 for `ok`.

        Those of constraints add up to less than 0.5, so that every `ok` candidate comes before the stopped ones, and these before failures.
        """
        return np.array([self._violations(self.records[number]) for number in ids], dtype=float)

    def _violations(self, record: CandidateRecord) -> list[float]:
        failed = {Outcome.ok: -1.0, Outcome.stopped: 0.5}.get(record.outcome, 1.0)
        values = ((constraint, record.objectives.get(constraint.objective.name)) for constraint in self.criteria.constraints)
        beyond = [0.0 if value is None else constraint.violation(value) for constraint, value in values]
        return [failed, *(each if each <= 0 else each / (1 + each) / (2 * len(beyond)) for each in beyond)]

    def front(self) -> list[int]:
        """Return the ids of the settled candidates that are `ok`, keep every constraint and are not dominated, in order."""
        return list(self._front)


def _raced(record: CandidateRecord) -> dict[str, Any]:
    return {key: record.details[key] for key in ("rungs", "validation_loss") if "rungs" in record.details and key in record.details}
