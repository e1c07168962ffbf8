"""Fronts and hypervolumes over candidates' records; every objective is minimised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from star_search.runs.records import CandidateRecord, Outcome

if TYPE_CHECKING:
    from star_search.objectives.registry import Criteria


def front_of(records: Sequence[CandidateRecord], names: Sequence[str]) -> list[CandidateRecord]:
    """Return the records that no other dominates in the named objectives; equal values keep each other."""
    values = np.array([[record.objectives[name] for name in names] for record in records], dtype=float).reshape(len(records), len(names))
    return [record for record, row in zip(records, values, strict=True) if not _dominated(row, values)]


def front_so_far(records: Sequence[CandidateRecord], criteria: Criteria) -> list[CandidateRecord]:
    """Return the records that are `ok`, keep every constraint and are not dominated, least of the first objective first."""
    names = [objective.name for objective in criteria.objectives]
    fit = [each for each in records if each.outcome == Outcome.ok and all(name in each.objectives for name in names)]
    fit = [each for each in fit if not criteria.rejection(each.objectives)]
    return sorted(front_of(fit, names), key=lambda record: record.objectives[names[0]])


def _dominated(row: NDArray[np.float64], values: NDArray[np.float64]) -> bool:
    return bool(((values <= row).all(1) & (values < row).any(1)).any())


def hypervolume(records: Sequence[CandidateRecord], names: Sequence[str], worst: Sequence[float]) -> float:
    """Return the share of the box between zero and `worst` that the records dominate, from 0 to 1."""
    import moocore

    values = [[record.objectives[name] / bound for name, bound in zip(names, worst, strict=True)] for record in records]
    inside = [row for row in values if all(value < 1 for value in row)]
    return float(moocore.hypervolume(np.array(inside), ref=np.ones(len(names)))) if inside else 0.0


def knee(records: Sequence[CandidateRecord], names: Sequence[str]) -> CandidateRecord:
    """Return the record nearest to the ideal point, every objective scaled to the front's own range."""
    values = np.array([[record.objectives[name] for name in names] for record in records])
    span = np.ptp(values, axis=0)
    scaled = (values - values.min(0)) / np.where(span > 0, span, 1.0)
    return records[int(np.argmin((scaled**2).sum(1)))]
