"""Where a candidate's genes come from: its ancestors back to those that were drawn, with cut points, mutations and repairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

from star_search.errors import InputError
from star_search.genome.description import gene_place
from star_search.genome.encoding import Genome
from star_search.runs.records import CandidateRecord

# What changed a gene, by the key of the lineage that lists it, in the order in which they happen.
CAUSES = {"moved": "move", "mutated": "mutation", "repaired": "repair"}


@dataclass(frozen=True, slots=True)
class Segment:
    """Genes `start` to `stop - 1` (flat indices from 0) that one parent gave."""

    parent: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Change:
    """One gene whose value is not the parent's: its flat index, both values, and what changed it, such as `mutation, repair`."""

    index: int
    before: int
    after: int
    cause: str


@dataclass(frozen=True, slots=True)
class Ancestor:
    """One candidate of a lineage; without parents it was drawn or given."""

    record: CandidateRecord
    parents: list[int]
    segments: list[Segment]
    changes: list[Change]

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data; LIVs count from 1."""
        layout = _read(self.record).layout
        return {
            "id": self.record.id,
            "generation": self.record.generation,
            "genome": self.record.genome,
            "parents": self.parents,
            "segments": [
                {"parent": each.parent, "first": _place(self.record, each.start), "last": _place(self.record, each.stop - 1)}
                for each in self.segments
            ],
            "changes": [
                {**owner, "gene": name, "from": each.before, "to": each.after, "cause": each.cause}
                for each in self.changes
                for owner, name in [gene_place(layout, each.index)]
            ],
        }


@dataclass(frozen=True, slots=True)
class Lineage:
    """The ancestors of a candidate, itself first and the oldest last, and the parents that the run's records do not hold."""

    ancestors: list[Ancestor]
    missing: list[int]

    def path_to_the_oldest(self) -> list[int]:
        """Return ids from the candidate back to an ancestor of the oldest generation, along first parents wherever these lead there."""
        oldest = min(each.record.generation for each in self.ancestors)
        leading, by_id = set[int](), {each.record.id: each for each in self.ancestors}
        for number in sorted(by_id):
            if by_id[number].record.generation == oldest or leading & set(by_id[number].parents):
                leading.add(number)
        path = [self.ancestors[0].record.id]
        # A damaged record may name parents younger than itself.
        while onward := [each for each in by_id[path[-1]].parents if each in leading and each < path[-1]]:
            path.append(onward[0])
        return path

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"ancestors": [each.as_json() for each in self.ancestors], "missing": self.missing}


def trace(records: Mapping[int, CandidateRecord], number: int) -> Lineage:
    """Return the lineage of a candidate among records by id."""
    waiting, seen, missing, found = {number}, set[int](), set[int](), list[Ancestor]()
    while waiting:
        current = max(waiting)
        waiting.remove(current)
        seen.add(current)
        if current not in records:
            missing.add(current)
            continue
        found.append(explain(records, records[current]))
        waiting |= set(found[-1].parents) - seen
    return Lineage(found, sorted(missing))


def explain(records: Mapping[int, CandidateRecord], record: CandidateRecord) -> Ancestor:
    """Return which genes of a candidate come from which parent, and which were changed since; what is not on record is left out."""
    genes = _read(record).integers()
    parents = _whole_numbers(record.lineage.get("parents"), record.id)
    bases = [_genes(records.get(parent), len(genes)) for parent in parents]
    segments = _segments(parents, _whole_numbers(record.lineage.get("points"), len(genes)), len(genes))
    inherited = [bases[parents.index(each.parent)] for each in segments for _ in range(each.start, each.stop)]
    return Ancestor(record, list(dict.fromkeys(parents)), segments, _changes(record, genes, inherited))


def _segments(parents: list[int], points: list[int], size: int) -> list[Segment]:
    """Return the stretches between cut points, given by the first and second parent in turn; a move starts from the first parent."""
    if not parents:
        return []
    bounds = [0, *sorted(set(points) - {0}), size]
    givers = parents[:2] if points else parents[:1]
    return [Segment(givers[turn % len(givers)], *pair) for turn, pair in enumerate(pairwise(bounds))]


def _changes(record: CandidateRecord, genes: list[int], inherited: list[list[int]]) -> list[Change]:
    causes: dict[int, list[str]] = {}
    for key, cause in CAUSES.items():
        for index in _whole_numbers(record.lineage.get(key), len(genes)):
            causes.setdefault(index, []).append(cause)
    return [
        Change(index, inherited[index][index], genes[index], ", ".join(causes[index]))
        for index in sorted(causes)
        if inherited and inherited[index] and inherited[index][index] != genes[index]
    ]


def place_sentence(record: CandidateRecord, index: int) -> str:
    """Return where a gene stands in words, such as `LIV 2 feature group`."""
    owner, name = gene_place(_read(record).layout, index)
    ((kind, number),) = owner.items()
    return f"{'LIV' if kind == 'liv' else kind} {number} {name}"


def _place(record: CandidateRecord, index: int) -> dict[str, Any]:
    owner, name = gene_place(_read(record).layout, index)
    return {**owner, "gene": name}


def _read(record: CandidateRecord) -> Genome:
    """Return the genome as asked; the canonical one, which is checked when a run is read, where a hand has damaged it."""
    try:
        return _parsed(record.genome)
    except InputError:
        return _parsed(record.canonical)


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Genome:
    """Return a genome that a lineage asks for many times: once for every gene that changed."""
    return Genome.parse(text)


def _genes(record: CandidateRecord | None, size: int) -> list[int]:
    genes = _read(record).integers() if record is not None else []
    return genes if len(genes) == size else []


def _whole_numbers(value: object, below: int) -> list[int]:
    """Return the list when it holds nothing but whole numbers from 0 to below; else nothing, since records are checked no deeper."""
    fits = isinstance(value, list) and all(isinstance(each, int) and not isinstance(each, bool) and 0 <= each < below for each in value)
    return value if fits and isinstance(value, list) else []
