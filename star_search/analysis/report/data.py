"""What the report's page knows of a run, as plain data; all text is as `printable` gives it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from star_search.analysis.candidate import loss_curve
from star_search.analysis.enrichment import motif_statistics
from star_search.analysis.figures.style import ink_on
from star_search.analysis.fronts import front_so_far
from star_search.analysis.lineage import Ancestor, explain, place_sentence
from star_search.analysis.motifs import SHARED, links
from star_search.analysis.plain_text import printable
from star_search.analysis.run_view import RunView
from star_search.analysis.strips import FAMILY_COLOURS, FAMILY_LETTERS, families
from star_search.errors import StarSearchError
from star_search.genome.composition import blocks
from star_search.genome.encoding import Genome
from star_search.genome.evolved import catalogue_for
from star_search.objectives.registry import Criteria
from star_search.runs.records import CandidateRecord, spent_tokens

# A drawing of a curve needs no more points, and thousands of candidates have one each.
CURVE_POINTS = 40
MOTIFS_SHOWN = 30


@dataclass(frozen=True)
class ReportData:
    """A run for the page: what it opens with, and per candidate what is read only once somebody looks at it."""

    opening: dict[str, Any]
    details: list[dict[str, Any]]


def report_data(view: RunView) -> ReportData:
    """Return the run for the page: facts, objectives, candidates, generations, motif statistics; details in the candidates' order."""
    recorded = dict.fromkeys(name for record in view.records for name in record.objectives)
    columns = [*view.names, *(name for name in recorded if name not in view.names)]
    classes, curves, phrases = _Numbers(), _Numbers(), _Numbers()
    candidates, details = [], []
    for record in view.records:
        ancestor = explain(view.by_id, record)
        found = _details(record, ancestor, curves, phrases)
        livs: list[int] = []
        if view.account(record) is not None:
            genome = Genome.parse(record.canonical)
            livs = _livs(view, genome, classes)
            found |= _architecture(view, genome)
        candidates.append(_candidate(record, ancestor, columns, livs))
        details.append(found)
    opening = {
        "run": printable(view.run.name),
        "path": printable(view.run.path.name),
        "facts": _facts(view),
        "objectives": list(map(printable, view.names)),
        "columns": list(map(printable, columns)),
        "families": {
            name: {"colour": colour, "letter": FAMILY_LETTERS[name], "ink": ink_on(colour)} for name, colour in FAMILY_COLOURS.items()
        },
        "classes": [list(pair) for pair in classes],
        "steps": [list(steps) for steps in curves],
        "phrases": [phrase for (phrase,) in phrases],
        "candidates": candidates,
        "generations": _generations(view),
        "so_far": _so_far(view),
        "motifs": _motifs(view),
    }
    return ReportData(opening, details)


def _generations(view: RunView) -> list[dict[str, Any]]:
    return [
        {
            "generation": each.generation,
            "front": each.front,
            "population": each.population,
            "best": progress.best,
            "median": progress.median,
            "hypervolume": progress.hypervolume,
        }
        for each, progress in zip(view.generations, view.progress, strict=True)
    ]


def _so_far(view: RunView) -> dict[str, Any]:
    """Return what stands in for the last generation where none is finished: the front of all candidates, as on a terminal."""
    if view.generations:
        return {}
    front = front_so_far(view.records, Criteria.from_config(view.config))
    return {"generation": max((record.generation for record in view.records), default=0), "front": [record.id for record in front]}


class _Numbers(dict[tuple[Any, ...], int]):
    """Numbers what it is asked for, from 0 in the order of first asking."""

    def of(self, key: tuple[Any, ...]) -> int:
        return self.setdefault(key, len(self))


def _facts(view: RunView) -> dict[str, str]:
    config = view.config
    return {
        "algorithm": f"{config.algorithm.name}, population {config.algorithm.population}, seed {config.algorithm.seed}",
        "space": f"{config.space.depth} LIVs of width {config.space.width}, catalogue {printable(view.catalogue.name)}",
        "training": f"{config.training.tokens:,} tokens a candidate, sequences of {config.training.sequence_length:,}",
        "text": printable(str(config.data.source)),
        "candidates": f"{len(view.records):,}, of which {sum(each.outcome == 'ok' for each in view.records):,} ok",
    }


def _candidate(record: CandidateRecord, ancestor: Ancestor, columns: list[str], livs: list[int]) -> dict[str, Any]:
    """Return what scatter, table and lineage show of a candidate; classes are numbers, since a report holds thousands."""
    return {
        "id": record.id,
        "generation": record.generation,
        "outcome": record.outcome.value,
        "reason": printable(record.reason),
        "values": [record.objectives.get(name) for name in columns],
        "canonical": record.canonical,
        "tokens": spent_tokens(record),
        "parents": ancestor.parents,
        "livs": livs,
    }


def _details(record: CandidateRecord, ancestor: Ancestor, curves: _Numbers, phrases: _Numbers) -> dict[str, Any]:
    origin = [phrases.of((phrase,)) for phrase in _origin(ancestor)]
    return {"genome": printable(record.genome), "origin": origin, "curve": _thinned(loss_curve(record), curves)}


def _livs(view: RunView, genome: Genome, classes: _Numbers) -> list[int]:
    complete = catalogue_for(genome, view.catalogue)
    names = (printable(complete[liv.liv_class].name) for liv in genome.livs)
    return [classes.of(pair) for pair in zip(names, families(genome, view.catalogue), strict=True)]


def _architecture(view: RunView, genome: Genome) -> dict[str, Any]:
    return {
        "links": [[SHARED[link.kind], link.first, link.second, ", ".join(link.groups)] for link in links(genome, view.catalogue)],
        "blocks": [[block.start, block.stop, block.is_routed] for block in blocks(genome) if block.size > 1],
    }


def _origin(ancestor: Ancestor) -> list[str]:
    """Return in words which genes came from whom and what changed since, phrase by phrase; none for a genome that was drawn."""
    turns = [f"{each.parent} from {place_sentence(ancestor.record, each.start)}" for each in ancestor.segments[1:]]
    changes = [f"{place_sentence(ancestor.record, each.index)} {each.before} to {each.after} ({each.cause})" for each in ancestor.changes]
    first = [f"genes of {ancestor.segments[0].parent}"] if ancestor.segments else []
    return [", ".join([*first, *turns]), *changes] if ancestor.parents else []


def _thinned(curve: list[tuple[float, float]], curves: _Numbers) -> list[Any]:
    """Return up to 40 points of a curve, the first and the last among them: the number of its steps, and its losses."""
    if not curve:
        return []
    count = min(CURVE_POINTS, len(curve))
    points = [curve[round(index * (len(curve) - 1) / max(1, count - 1))] for index in range(count)]
    return [curves.of(tuple(step for step, _ in points)), [round(loss, 4) for _, loss in points]]


def _motifs(view: RunView) -> dict[str, Any]:
    try:
        found = motif_statistics(view)
    except StarSearchError:
        return {"rows": []}
    rows = [
        {
            "kind": each.kind,
            "name": printable(each.name),
            "selected": each.selected,
            "initial": each.initial,
            "p": each.p_value,
            "corrected": each.corrected_p_value,
        }
        for each in found.motifs[:MOTIFS_SHOWN]
    ]
    return {"group": found.group, "rows": rows}
