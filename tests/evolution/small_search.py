"""Searches small enough for a test: a text of one sentence, tiny models, and workers that compute instead of training."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

from star_search.config import SearchConfig, parse_configuration
from star_search.evolution.ledger import Budget
from star_search.evolution.search import Search
from star_search.genome.encoding import Genome
from star_search.genome.space import SearchSpace
from star_search.objectives.assignment import Assessed, Assignment, Sign
from star_search.objectives.registry import Criteria, account_of
from star_search.runs.atomic import write_bytes
from star_search.runs.directory import RunDirectory
from star_search.runs.records import CandidateRecord, GenerationRecord, Outcome

UNIGRAM_LOSS = math.log(50)
# What a LIV of each class takes off the perplexity of the stand-in; 2 for a class of the genome's own.
GAINS = {1: 3.0, 2: 1.0, 3: 2.5, 4: 2.8, 5: 2.2, 6: 1.8, 7: 1.2, 8: 1.4, 9: 1.6}


def write_text_source(folder: Path, documents: int = 60) -> Path:
    """Write a corpus that a tiny model learns within 2,000 tokens."""
    path = folder / "sentences.jsonl"
    lines = [json.dumps({"text": f"{number} " + "the cat sat on the mat. " * 8}) for number in range(documents)]
    path.write_text("\n".join(lines) + "\n")
    return path


def merged(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return values | {key: values.get(key, {}) | change if isinstance(change, dict) else change for key, change in changes.items()}


def small_values(source: Path, **changes: Any) -> dict[str, Any]:
    """Return a configuration whose candidates really train, each for a tenth of a second; a section among `changes` is merged in."""
    values: dict[str, Any] = {
        "name": "small",
        "objectives": ["perplexity", "cache_bytes"],
        "space": {"depth": 2, "width": 16},
        "algorithm": {"population": 4, "generations": 2, "seed": 3},
        "training": {"tokens": 2048, "sequence_length": 32, "batch_tokens": 64, "learning_rate": 3e-2, "warmup_steps": 2},
        "data": {"source": str(source), "validation_tokens": 256, "validation_fraction": 0.2},
        "workers": {"count": 0, "device": "cpu"},
    }
    return merged(values, changes)


def small_config(source: Path, **changes: Any) -> SearchConfig:
    return parse_configuration(small_values(source, **changes))


def stand_in_config(**changes: Any) -> SearchConfig:
    """Return a configuration for searches in which nothing trains."""
    values: dict[str, Any] = {
        "name": "stand-in",
        "space": {"depth": 4, "width": 64, "classes": list(GAINS)},
        "algorithm": {"population": 6, "generations": 4, "seed": 1},
        "training": {"tokens": 1000, "sequence_length": 100, "batch_tokens": 100},
        "workers": {"count": 0, "device": "cpu"},
    }
    return parse_configuration(merged(values, changes))


def analytic_perplexity(canonical: str) -> float:
    """Return a perplexity that follows from the genome: classes gain, deeper places more; sharing costs a little."""
    livs = Genome.parse(canonical).livs
    gain = sum(GAINS.get(liv.liv_class, 2.0) * (1 + 0.1 * position) for position, liv in enumerate(livs)) / len(livs)
    sharing = sum(0.3 * (liv.featurizer_strategy > 1) + 0.2 * (liv.feature_strategy > 1) for liv in livs)
    return 12.0 - gain + sharing


def chance(text: str) -> float:
    """Return a number in [0, 1) that only the text decides."""
    return int.from_bytes(sha256(text.encode()).digest()[:4]) / 2**32


class StandIn:
    """Workers that compute objectives from the genome; results come in reversed order within batches of `at_once`."""

    def __init__(
        self,
        config: SearchConfig,
        fails: Callable[[str], Outcome | None] = lambda canonical: None,
        at_once: int = 1,
        limit: int | None = None,
    ) -> None:
        self.config, self.fails, self.at_once, self.limit = config, fails, at_once, limit
        self.criteria = Criteria.from_config(config)
        self.assessed: list[str] = []
        self.closed = False

    def assess(self, source: Callable[[], Assignment | None], report: object) -> Iterator[Assessed]:
        while batch := list(islice(iter(source, None), self.at_once)):
            yield from map(self._one, reversed(batch))

    def _one(self, assignment: Assignment) -> Assessed:
        if self.limit is not None and len(self.assessed) == self.limit:
            raise KeyboardInterrupt
        self.assessed.append(assignment.canonical)
        seed, training = self.config.algorithm.seed, self.config.training
        exact = self.criteria.exact_values(account_of(self.config, Genome.parse(assignment.canonical)))
        measured = {"seconds": float(len(self.assessed))}
        outcome = self.fails(assignment.canonical)
        if outcome is not None:
            return Assessed(
                assignment.record(seed, outcome, f"{outcome} on purpose", exact, tokens=training.batch_tokens, measured=measured)
            )
        write_bytes(Path(assignment.weights_path), b"weights")
        perplexity = analytic_perplexity(assignment.canonical)
        objectives = exact | {"perplexity": perplexity, "bits_per_byte": math.log2(perplexity)}
        return Assessed(assignment.record(seed, Outcome.ok, "", objectives, tokens=training.tokens, measured=measured))

    def close(self) -> None:
        self.closed = True


class Listener:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.started: list[int] = []
        self.signs: list[Sign] = []
        self.candidates: list[CandidateRecord] = []
        self.generations: list[GenerationRecord] = []

    def generation_started(self, generation: int) -> None:
        self.started.append(generation)

    def candidate_progressed(self, sign: Sign) -> None:
        self.signs.append(sign)

    def candidate_finished(self, record: CandidateRecord) -> None:
        self.candidates.append(record)

    def generation_finished(self, record: GenerationRecord) -> None:
        self.generations.append(record)


def make_run(path: Path, config: SearchConfig) -> RunDirectory:
    """Create a run as `evolve` does, but for a text that nobody reads."""
    criteria, space = Criteria.from_config(config), SearchSpace.from_config(config.space)
    point = criteria.worst(space, config.backbone.residual, UNIGRAM_LOSS, UNIGRAM_LOSS / math.log(2))
    return RunDirectory.create(path, config.name, config.to_yaml(), {"reference_point": point, "unigram_loss": UNIGRAM_LOSS})


def search_in(run: RunDirectory, config: SearchConfig, workers: Any, budget: Budget | None = None, reporter: Any = None) -> Search:
    """Return a search ready to run; `workers` are handed over when it first needs them."""
    return Search(run, config, lambda: workers, reporter or Listener(), budget or Budget())


def stand_in_run(path: Path, config: SearchConfig, workers: StandIn | None = None) -> RunDirectory:
    """Return a finished run."""
    run = make_run(path, config)
    assert search_in(run, config, workers or StandIn(config)).run()
    return run


def archive_of(run: RunDirectory) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[str]]:
    """Return all that equal runs have in common: candidates, generations, and which weights are kept."""
    candidates, damaged = run.read_candidates()
    generations, damaged_generations = run.read_generations()
    assert damaged == damaged_generations == []
    weights = sorted(path.name for path in (run.path / "weights").glob("*"))
    return [each.comparable() for each in candidates], [each.comparable() for each in generations], weights


def rewrite_candidate(run: RunDirectory, number: int, **changes: Any) -> None:
    """Change what a candidate's record says."""
    (record,) = [each for each in run.read_candidates()[0] if each.id == number]
    run.write_candidate(replace(record, **changes))


def fails_at(share: float) -> Callable[[str], Outcome | None]:
    """Return a rule by which a share of all architectures fails, in turn with every outcome that a failure has."""
    outcomes = [each for each in Outcome if each not in (Outcome.ok, Outcome.rejected)]
    return lambda canonical: outcomes[int(chance(canonical) * 1e6) % len(outcomes)] if chance(canonical) < share else None


def truncated(run: RunDirectory, path: Path, candidates: Iterable[int], generations: int) -> RunDirectory:
    """Copy a run with these candidates and the first so many generations."""
    shutil.copytree(run.path, path, ignore=shutil.ignore_patterns("weights"))
    copy = RunDirectory.open(path)
    for number in set(range(30)) - set(candidates):
        copy.candidate_path(number).unlink()
    for number in range(generations, 5):
        shutil.rmtree(copy.generation_path(number).parent)
    return copy
