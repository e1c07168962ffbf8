"""Assessment: turning one genome into objective values, or into an outcome that says why there are none."""

from __future__ import annotations

import math
import resource
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from star_search.config import SearchConfig
from star_search.data.store import prepare
from star_search.data.stream import EvaluationBatches, TokenStream
from star_search.data.unigram import unigram_loss
from star_search.genome.catalogue import load_catalogue
from star_search.genome.encoding import Genome
from star_search.model.language_model import LanguageModel
from star_search.objectives.assignment import Assessed, Assignment
from star_search.objectives.racing import Race
from star_search.objectives.registry import Criteria, account_of
from star_search.runs.atomic import patiently, write_bytes
from star_search.runs.records import Outcome
from star_search.training.batch_size import is_out_of_memory
from star_search.training.engine import engine_of
from star_search.training.progress import Progress
from star_search.training.stability import Unhealthy
from star_search.training.trainer import TrainingResult, ValidationResult, compiled_judge, evaluate, train

EVALUATION_ROWS = 16

Report = Callable[[Progress], None]


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

    def __call__(self, assignment: Assignment, report: Report = lambda progress: None) -> Assessed:
        """Assess one candidate; raises nothing but KeyboardInterrupt, SystemExit, and StarSearchError where its weights cannot be kept."""
        exact = self.criteria.exact_values(account_of(self.config, Genome.parse(assignment.canonical)))
        start, began, seen = time.perf_counter(), time.time(), [0]
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)

        race = Race(self.config, self.criteria, exact, assignment.rivals, self._bits_per_nat)

        def watch(progress: Progress) -> None:
            seen[0] = progress.step * self.config.training.batch_tokens
            report(progress)
            race.observe(progress)

        try:
            model, training, validation = self._train(assignment, watch)
            outcome, reason, trace = Outcome.ok, "", ""
        except Unhealthy as error:
            outcome, reason, trace = error.outcome, error.reason, ""
            seen[0] = max(seen[0], error.tokens)
        except Exception as error:
            outcome, reason, trace = _failure(error)
        seconds, busy = time.perf_counter() - start, [began, time.time()]
        seed = self.config.algorithm.seed
        if outcome != Outcome.ok:
            measured = {"seconds": seconds, "busy": busy}
            return Assessed(
                assignment.record(seed, outcome, reason, exact, tokens=seen[0], details=race.details(), measured=measured), trace
            )
        write_weights = partial(write_bytes, Path(assignment.weights_path), save(model.state_dict()))
        waited = patiently(write_weights, self.config.workers.disk_timeout)
        full = {"disk_full_seconds": waited} if waited else {}
        objectives = exact | {"perplexity": validation.perplexity, "bits_per_byte": validation.bits_per_byte}
        record = assignment.record(
            seed,
            outcome,
            reason,
            objectives,
            tokens=training.tokens,
            details=_details(training, validation) | race.details(validation.loss),
            measured={"seconds": seconds, "busy": busy} | self._measured(training) | full,
        )
        return Assessed(record)

    def _train(self, assignment: Assignment, report: Report) -> tuple[LanguageModel, TrainingResult, ValidationResult]:
        seed, space, backbone = assignment.seed(self.config.algorithm.seed), self.config.space, self.config.backbone
        torch.manual_seed(seed)
        model = LanguageModel.from_genome(
            assignment.canonical,
            space.width,
            self.store.vocabulary_size,
            load_catalogue(space.catalogue),
            backbone.residual,
            self.config.training.dropout,
            backbone.initialisation,
            seed,
            backbone.router_top_k,
        ).to(self.device)
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
        judge = compiled_judge(model, self.config.training, rows)
        return evaluate(model, self._validation(rows), self.config.training.precision, judge)

    def _measured(self, training: TrainingResult) -> dict[str, float]:
        on_gpu = self.device.type == "cuda"
        peak = torch.cuda.max_memory_allocated(self.device) if on_gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return {
            "training_seconds": training.seconds,
            "tokens_per_second": training.tokens / training.seconds,
            "peak_memory_bytes": float(peak),
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
