"""Assessment: turning one genome into objective values, or into an outcome that says why there are none."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from star_search.config import SearchConfig
from star_search.data.store import prepare
from star_search.data.stream import EvaluationBatches, TokenStream
from star_search.data.unigram import unigram_loss
from star_search.errors import StarSearchError
from star_search.genome.encoding import Genome
from star_search.model.language_model import LanguageModel
from star_search.objectives.assignment import Assessed, Assignment
from star_search.objectives.candidate import Candidate, score
from star_search.objectives.candidate_model import candidate_model
from star_search.objectives.measured import measure_genome
from star_search.objectives.own import load_own
from star_search.objectives.racing import Race
from star_search.objectives.registry import FROM_LOSS, Criteria, account_of
from star_search.processes import peak_memory_bytes
from star_search.runs.atomic import patiently, write_bytes
from star_search.runs.records import Outcome
from star_search.training.batch_size import is_out_of_memory
from star_search.training.engine import engine_of
from star_search.training.progress import Progress
from star_search.training.stability import Unhealthy
from star_search.training.trainer import TrainingResult, ValidationResult, compiled_judge, evaluate, train

EVALUATION_ROWS = 16

Report = Callable[[Progress], None]


@dataclass
class _Findings:
    """What is found out about a candidate: values known before training, those of a candidate that ends `ok`, and what it took."""

    known: dict[str, float]
    scores: dict[str, float] = field(default_factory=dict)
    tokens: int = 0
    details: dict[str, Any] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)


class DeviceLost(StarSearchError):
    """A GPU that answers this process no more, as after an illegal access: all that it is asked from then on fails."""


class Assessor:
    """Trains and scores candidates, one after another, on one device; everything that can fail ends as an outcome."""

    def __init__(self, config: SearchConfig, device: str) -> None:
        self.config, self.device = config, torch.device(device)
        self.criteria = Criteria.from_config(config)
        training = config.training
        self.store = prepare(config.data)
        self.stream = TokenStream(self.store, training.sequence_length, training.rows, config.data.seed)
        self.engine = engine_of(training, self.device)
        self.validation = self._validation(EVALUATION_ROWS)
        self._bits_per_nat = self.validation.count_tokens / (math.log(2) * self.validation.count_bytes)
        self.unigram_loss = unigram_loss(self.validation.targets, self.store.vocabulary_size)
        self.own = [load_own(config, objective.name) for objective in self.criteria.own]

    @property
    def trains(self) -> bool:
        """Whether candidates' language models are trained: always, unless all that is asked for trains models of its own."""
        from_loss = any(objective.name in FROM_LOSS for objective in self.criteria.asked)
        return from_loss or not self.own or not all(objective.trains_itself for objective in self.own)

    def __call__(self, assignment: Assignment, report: Report = lambda progress: None) -> Assessed:
        """Assess one candidate; raises nothing but KeyboardInterrupt, SystemExit, and StarSearchError where its weights cannot be kept or
        the device is lost."""
        found = _Findings(self.criteria.exact_values(account_of(self.config, Genome.parse(assignment.canonical))))
        start, began = time.perf_counter(), time.time()
        try:
            self._measure(assignment, found)
            model = self._language_model(assignment, found, report) if self.trains else None
            self._score_own(assignment, found, model)
            outcome, reason, trace = Outcome.ok, "", ""
        except Unhealthy as error:
            outcome, reason, trace = error.outcome, error.reason, ""
            found.tokens = max(found.tokens, error.tokens)
        except Exception as error:
            outcome, reason, trace = _failure(error)
            if not self._device_answers():
                raise DeviceLost(f"{self.device} answers no more: {reason}") from error
        found.measured |= {"seconds": time.perf_counter() - start, "busy": [began, time.time()]}
        if outcome == Outcome.ok:
            if model is not None:
                self._keep(assignment, model, found)
            found.known |= found.scores
        rest = {"tokens": found.tokens, "details": found.details, "measured": found.measured}
        return Assessed(assignment.record(self.config.algorithm.seed, outcome, reason, found.known, **rest), trace)

    def _measure(self, assignment: Assignment, found: _Findings) -> None:
        """Measure what the criteria ask for, before anything trains.

        Raises:
            Unhealthy: with outcome `rejected`, when a constraint is broken.
        """
        if not self.criteria.measured:
            return
        measured = measure_genome(self.config, self.criteria.measured, assignment.canonical, self.store.vocabulary_size, str(self.device))
        found.known |= measured.values
        found.measured["decoding"] = [cost.as_json() for cost in measured.costs]
        if reason := self.criteria.rejection(found.known):
            raise Unhealthy(Outcome.rejected, reason)

    def _language_model(self, assignment: Assignment, found: _Findings, report: Report) -> LanguageModel:
        """Train and judge the candidate's language model."""
        race = Race(self.config, self.criteria, found.known, assignment.rivals, self._bits_per_nat)

        def watch(progress: Progress) -> None:
            found.tokens = progress.step * self.config.training.batch_tokens
            report(progress)
            race.observe(progress)

        try:
            model, training, validation = self._train(assignment, watch)
        finally:
            found.details |= race.details()
        found.tokens = training.tokens
        found.scores |= {"perplexity": validation.perplexity, "bits_per_byte": validation.bits_per_byte}
        found.details |= _details(training, validation) | race.details(validation.loss)
        found.measured |= self._measured(training)
        return model

    def _score_own(self, assignment: Assignment, found: _Findings, model: LanguageModel | None) -> None:
        """Have the objectives of the search's own score the candidate."""
        if self.own:
            genome, seed = Genome.parse(assignment.canonical), assignment.seed(self.config.algorithm.seed)
            candidate = Candidate(genome, self.config, seed, self.device, self.store, model)
            scores = {objective.name: score(objective, candidate) for objective in self.own}
            found.scores |= {name: each.value for name, each in scores.items()}
            found.details |= {name: each.details for name, each in scores.items() if each.details}

    def _keep(self, assignment: Assignment, model: LanguageModel, found: _Findings) -> None:
        write_weights = partial(write_bytes, Path(assignment.weights_path), save(model.state_dict()))
        if waited := patiently(write_weights, self.config.workers.disk_timeout):
            found.measured["disk_full_seconds"] = waited

    def _train(self, assignment: Assignment, report: Report) -> tuple[LanguageModel, TrainingResult, ValidationResult]:
        seed = assignment.seed(self.config.algorithm.seed)
        torch.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        model = candidate_model(self.config, assignment.canonical, self.store.vocabulary_size, seed).to(self.device)
        training = train(model, self.stream, self.config.training, self.unigram_loss, report)
        validation = self._evaluate(model, training.rows_at_once)
        if validation.loss >= self.unigram_loss:
            raise Unhealthy(
                Outcome.degenerate,
                f"after {training.tokens:,} tokens the validation loss is {validation.loss:.3f}, "
                f"not under the unigram's {self.unigram_loss:.3f}",
            )
        return model, training, validation

    def _validation(self, rows: int) -> EvaluationBatches:
        return self.stream.validation_batches(self.config.data.validation_tokens, rows)

    def _evaluate(self, model: LanguageModel, rows: int) -> ValidationResult:
        if self.engine == "eager":
            return evaluate(model, self.validation, self.config.training.precision)
        # What is not compiled has no shape of its own, and large batches are fewer calls.
        rows = EVALUATION_ROWS if self.engine == "captured" else rows
        judge = compiled_judge(model, self.config.training, rows, self.engine)
        return evaluate(model, self._validation(rows), self.config.training.precision, judge)

    def _device_answers(self) -> bool:
        """Return whether the device still works for this process."""
        try:
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
        except RuntimeError:
            return False
        return True

    def _measured(self, training: TrainingResult) -> dict[str, float]:
        return {
            "training_seconds": training.seconds,
            "tokens_per_second": training.tokens / training.seconds,
            "peak_memory_bytes": float(peak_memory_bytes(self.device)),
        }


def _details(training: TrainingResult, validation: ValidationResult) -> dict[str, Any]:
    return {
        "steps": training.steps,
        "curve": training.curve,
        "validation_loss": validation.loss,
        "validation_tokens": validation.tokens,
        "subsets": {
            name: {"perplexity": each.perplexity, "bits_per_byte": each.bits_per_byte, "tokens": each.tokens}
            for name, each in validation.subsets.items()
        },
    }


def _failure(error: Exception) -> tuple[Outcome, str, str]:
    text = str(error).strip().splitlines()[0] if str(error).strip() else "no message"
    if is_out_of_memory(error):
        return Outcome.out_of_memory, text, ""
    return Outcome.crashed, f"{type(error).__name__}: {text}", "".join(traceback.format_exception(error))
