"""One candidate of a run in full, and two of them side by side, as plain data."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from star_search.analysis.lineage import trace
from star_search.analysis.run_view import RunView
from star_search.genome.composition import blocks
from star_search.genome.description import describe
from star_search.genome.distance import hamming
from star_search.genome.encoding import Genome
from star_search.runs.records import CandidateRecord, lost_tokens


def candidate_json(view: RunView, record: CandidateRecord) -> dict[str, Any]:
    """Return all that is known of a candidate but times and paths; `architecture` is None where its genome is illegal."""
    account = view.account(record)
    return {
        "id": record.id,
        "generation": record.generation,
        "genome": record.genome,
        "canonical": record.canonical,
        "outcome": record.outcome.value,
        "reason": record.reason,
        "objectives": record.objectives,
        "in_front": any(each.id == record.id for each in view.front),
        "in_population": any(each.id == record.id for each in view.population),
        "seed": record.seed,
        "tokens": record.tokens,
        "lost_tokens": lost_tokens(record),
        "details": record.details,
        "architecture": None if account is None else describe(account, view.config.training.sequence_length),
        "lineage": trace(view.by_id, record.id).as_json(),
    }


def comparison_json(view: RunView, first: CandidateRecord, second: CandidateRecord) -> dict[str, Any]:
    """Return two candidates in full, their differing genes (canonical), the LIVs that differ (from 1) and common ancestors."""
    one, other = (Genome.parse(record.canonical) for record in (first, second))
    families = [{each.record.id for each in trace(view.by_id, record.id).ancestors} for record in (first, second)]
    return {
        "candidates": [candidate_json(view, first), candidate_json(view, second)],
        "differing_livs": differing_livs(one, other),
        "hamming_distance": hamming(one, other),
        "common_ancestors": sorted(families[0] & families[1]),
    }


def differing_livs(one: Genome, other: Genome) -> list[int]:
    """Return the positions (from 1) where canonical genomes have another LIV, or combine it otherwise; LIVs that one lacks differ."""
    rows = zip_longest(_placed_livs(one), _placed_livs(other))
    return [position for position, (mine, theirs) in enumerate(rows, 1) if mine != theirs]


def _placed_livs(genome: Genome) -> list[tuple[int, ...]]:
    """Return every LIV's genes with where its block of parallel LIVs begins and how that is combined."""
    return [(*genome.livs[position], block.start, block.kind) for block in blocks(genome) for position in block.positions]


def loss_curve(record: CandidateRecord) -> list[tuple[float, float]]:
    """Return the training loss as (step, nats a token), empty where none is on record."""
    return [(float(step), float(loss)) for step, loss in record.details.get("curve", [])]
