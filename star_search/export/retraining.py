"""A candidate's weights once more, from its record: the same seed, text and budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from star_search.analysis.run_view import RunView
from star_search.data.fingerprint import check_same_text
from star_search.errors import StarSearchError
from star_search.objectives.assignment import Assignment
from star_search.runs.records import CandidateRecord, Outcome

if TYPE_CHECKING:
    from star_search.training.progress import Progress


def retrain(view: RunView, record: CandidateRecord, device: str, weights: Path, report: Callable[[Progress], None]) -> CandidateRecord:
    """Train a recorded candidate's language model again, write its weights, and return the record with what came of it.

    What was measured, and objectives of the run's own, stand as they are recorded.

    Raises:
        InputError: when the text of the run has changed.
        StarSearchError: when the candidate cannot be had again.
    """
    from star_search.objectives.assessment import Assessor

    assignment = Assignment(record.id, record.generation, record.genome, record.canonical, str(weights), record.lineage)
    if assignment.seed(view.config.algorithm.seed) != record.seed:
        raise StarSearchError(f"candidate {record.id} was trained with seed {record.seed}, which this star-search would not draw for it")
    with _threads(view.config.workers.threads):
        plain = view.config.model_copy(update={"objectives": ["perplexity"], "constraints": []})
        assessor = Assessor(plain, device)
        check_same_text(view.provenance["data"]["fingerprint"], assessor.store.fingerprint, view.run.path)
        again = assessor(assignment, report).record
    if again.outcome != Outcome.ok:
        raise StarSearchError(f"candidate {record.id} ended ok in its run, and {again.outcome} when retrained: {again.reason}")
    return replace(again, objectives=record.objectives | again.objectives)


def difference(record: CandidateRecord, again: CandidateRecord) -> str:
    """Return by how much the retrained perplexity differs from the recorded one, empty when the two are equal."""
    before, now = record.objectives["perplexity"], again.objectives["perplexity"]
    if before == now:
        return ""
    return (
        f"the retrained perplexity is {now:.6g} where {before:.6g} is recorded, {abs(now - before) / before:.1e} of it apart: "
        "the machine, the device or a version is another"
    )


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Use the run's threads, on which sums depend in the last bit."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
