"""Candidates of a run filtered and sorted as a reader asks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from star_search.analysis.run_view import RunView
from star_search.errors import InputError, did_you_mean
from star_search.genome.encoding import Genome
from star_search.objectives.registry import KINDS, Constraint, Objective, parse_constraint, parse_objective
from star_search.runs.records import CandidateRecord, Outcome, spent_tokens

NUMBERS = ("id", "generation", "tokens")
COLUMNS = (*NUMBERS, "outcome")


def value_of(view: RunView, record: CandidateRecord, objective: Objective) -> float | None:
    """Return an objective's value as recorded, or from the genome where it is exact; none where only training could tell."""
    recorded = record.objectives.get(objective.name)
    account = view.account(record) if recorded is None and objective.kind.exact is not None else None
    return recorded if account is None else objective.exact_value(account)


@dataclass(frozen=True)
class Listing:
    """Which candidates to list, in which order: by an objective or column (`-` before it: largest first), under conditions such as
    `cache_bytes<=20e6` or `generation>=3` that all hold, of certain outcomes, and holding all of certain classes (ids or names).

    Raises:
        InputError: for a column, condition, outcome or class that does not exist.
    """

    view: RunView
    sort: str | None = None
    where: Sequence[str] = ()
    outcomes: Sequence[str] = ()
    classes: Sequence[str] = ()

    def __post_init__(self) -> None:
        self._objective, self._constraints, self._class_ids  # noqa: B018 - what is wrong with them shows here
        for name in self.outcomes:
            if name not in list(Outcome):
                raise InputError(f"--outcome {name} is no outcome{did_you_mean(name, list(Outcome))}")

    def apply(self, records: Iterable[CandidateRecord]) -> list[CandidateRecord]:
        """Return the records that fit, sorted; those without the value that sorts come last, and equal ones keep their order."""
        kept = [record for record in records if self._fits(record)]
        if self.sort is None:
            return kept
        keyed = [(self._key(record), record) for record in kept]
        known = sorted(((key, record) for key, record in keyed if key is not None), key=lambda pair: pair[0], reverse=self._descending)
        return [record for _, record in known] + [record for key, record in keyed if key is None]

    @property
    def filters(self) -> bool:
        """Whether some candidates are left out."""
        return bool(self.where or self.outcomes or self.classes)

    @property
    def _descending(self) -> bool:
        return self.sort is not None and self.sort.startswith("-")

    @cached_property
    def _objective(self) -> Objective | None:
        if self.sort is None:
            return None
        name, own = self.sort.removeprefix("-"), self.view.config.own_objectives
        if name in COLUMNS:
            return None
        if name not in own and name.partition("@")[0] not in KINDS:
            raise InputError(f"--sort '{name}' is no column{did_you_mean(name, [*COLUMNS, *KINDS, *own])}")
        return parse_objective(name, self._length, own)

    @cached_property
    def _constraints(self) -> list[Constraint]:
        return [parse_constraint(text, self._length, [*self.view.config.own_objectives, *NUMBERS]) for text in self.where]

    @cached_property
    def _class_ids(self) -> list[int]:
        return [self.view.catalogue.find(key).id for key in self.classes]

    @property
    def _length(self) -> int:
        return self.view.config.training.sequence_length

    def _fits(self, record: CandidateRecord) -> bool:
        if self.outcomes and record.outcome not in self.outcomes:
            return False
        if self._class_ids and not set(self._class_ids) <= {liv.liv_class for liv in Genome.parse(record.canonical).livs}:
            return False
        values = ((each, self._value(record, each.objective)) for each in self._constraints)
        return all(value is not None and each.violation(value) <= 0 for each, value in values)

    def _value(self, record: CandidateRecord, objective: Objective) -> float | None:
        return float(_column(record, objective.name)) if objective.name in NUMBERS else value_of(self.view, record, objective)

    def _key(self, record: CandidateRecord) -> float | str | None:
        if self._objective is not None:
            return value_of(self.view, record, self._objective)
        return _column(record, str(self.sort).removeprefix("-"))


def _column(record: CandidateRecord, name: str) -> float | str:
    value: float | str = spent_tokens(record) if name == "tokens" else getattr(record, name)
    return value
