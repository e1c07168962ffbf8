"""Every candidate of a run, and the arrays that pymoo is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from star_search.analysis.fronts import front_of
from star_search.objectives.registry import Criteria
from star_search.runs.records import CandidateRecord, Outcome

FloatArray = NDArray[np.float64]


@dataclass
class Archive:
    """Records by id."""

    criteria: Criteria
    worst: list[float]
    records: dict[int, CandidateRecord] = field(default_factory=dict)

    def add(self, record: CandidateRecord) -> None:
        """Take in a record."""
        self.records[record.id] = record

    def objective_array(self, ids: Iterable[int]) -> FloatArray:
        """Return objective values [n, objectives]; where a candidate has none, the worst value stands and a constraint is violated."""
        rows = [self.records[number] for number in ids]
        return np.array([[record.objectives.get(name, worst) for name, worst in self._columns()] for record in rows], dtype=float)

    def _columns(self) -> list[tuple[str, float]]:
        return list(zip(self.criteria.names, self.worst, strict=True))

    def constraint_array(self, ids: Iterable[int]) -> FloatArray:
        """Return violations [n, 1 + constraints]: the first is 1 for a candidate that is not `ok`, -1 otherwise."""
        return np.array([self._violations(self.records[number]) for number in ids], dtype=float)

    def _violations(self, record: CandidateRecord) -> list[float]:
        failed = 1.0 if record.outcome != Outcome.ok else -1.0
        values = ((constraint, record.objectives.get(constraint.objective.name)) for constraint in self.criteria.constraints)
        return [failed, *(0.0 if value is None else constraint.violation(value) for constraint, value in values)]

    def front(self) -> list[int]:
        """Return the ids of the non-dominated `ok` candidates that keep every constraint, in order."""
        fit = [record for record in self.records.values() if max(self._violations(record)) <= 0]
        return sorted(record.id for record in front_of(fit, self.criteria.names))
