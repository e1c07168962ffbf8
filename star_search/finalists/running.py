"""A training run to its end: resumed where it was left, evaluated on validation and test text, exported."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from star_search.config import SearchConfig, TrainingConfig
from star_search.data.fingerprint import check_same_text
from star_search.data.store import TokenStore, prepare
from star_search.data.stream import EvaluationBatches, TokenStream
from star_search.data.unigram import unigram_loss
from star_search.errors import InputError, StarSearchError
from star_search.evaluation.text import evaluation_batches, figures
from star_search.export.folder import Exportable, write_folder
from star_search.export.loading import ExportedModel
from star_search.finalists.card import training_card
from star_search.finalists.plan import Plan
from star_search.finalists.recording import Recorder, speed
from star_search.finalists.training_folder import TrainingFolder
from star_search.model.language_model import LanguageModel
from star_search.objectives.candidate_model import candidate_model
from star_search.processes import peak_memory_bytes
from star_search.training import checkpoint
from star_search.training.batch_size import is_out_of_memory
from star_search.training.checkpoint import Position
from star_search.training.stability import HealthMonitor, Unhealthy
from star_search.training.steps import Steps
from star_search.training.trainer import TrainingResult, evaluate, train
from star_search.training.world import World

# A kill costs a twentieth of a short training, and no more than so many steps of a long one; a training whose state takes long to write
# saves more seldom, so that it spends no more than this share of its time on it.
CHECKPOINTS, FEWEST_STEPS, MOST_STEPS_LOST, SHARE_OF_TIME = 20, 10, 500, 0.05


class Checkpoints:
    """Keeps the newest two states of a training, `every` so many steps or as `SHARE_OF_TIME` allows; all processes gather, the first
    writes."""

    def __init__(self, folder: TrainingFolder, plan: Plan, every: int | None, world: World) -> None:
        self.folder, self.plan, self.steps, self.world = folder, plan, plan.search.training.steps, world
        self.every = every or min(MOST_STEPS_LOST, max(FEWEST_STEPS, self.steps // CHECKPOINTS))
        self.always = every is not None
        self._saved, self._cost, self.text = -math.inf, 0.0, ""

    @cached_property
    def newest(self) -> tuple[Path, Position] | None:
        """The newest checkpoint that can be read.

        Raises:
            InputError: when none of them can, or it is another training's.
        """
        problem: InputError | None = None
        for path in reversed(self.folder.checkpoints()):
            try:
                position = checkpoint.read_position(path)
            except InputError as error:
                problem = problem or error
                continue
            if position.plan != self.plan.digest:
                raise InputError(f"{path} belongs to another training: its genome, data or budget is not that of {self.folder.path}")
            return path, position
        if problem is not None:
            raise problem
        return None

    def use_text(self, fingerprint: str) -> None:
        """Note the text that states are trained on from here.

        Raises:
            InputError: when the newest state was trained on another.
        """
        if self.newest is not None:
            check_same_text(self.newest[1].text, fingerprint, self.folder.path)
        self.text = fingerprint

    def fitted(self, training: TrainingConfig) -> TrainingConfig:
        """Return the training with the rows at once that it began with, on which sums depend in the last bit."""
        if self.newest is None or self.newest[1].processes != self.world.size:
            return training
        return training.model_copy(update={"micro_batch_rows": self.newest[1].rows_at_once})

    def restore(self, steps: Steps, monitor: HealthMonitor) -> int:
        """Put the newest state back in place, and return how many steps were done."""
        if self.newest is None:
            return 0
        path, position = self.newest
        try:
            checkpoint.restore(checkpoint.read(path), steps, monitor, self.world)
        except (KeyError, RuntimeError) as error:
            if is_out_of_memory(error):
                raise
            raise InputError(f"{path} does not hold the whole state of this training ({str(error).splitlines()[0]})") from error
        return position.step

    def is_due(self, done: int) -> bool:
        """Return whether to save after so many steps: now and then, and at the end."""
        if done == self.steps:
            return True
        since = time.perf_counter() - self._saved
        return done % self.every == 0 and (self.always or self.world.as_first(self._cost <= SHARE_OF_TIME * since))

    def save(self, done: int, steps: Steps, monitor: HealthMonitor) -> None:
        """Keep the state after so many steps."""
        start = time.perf_counter()
        tensors = checkpoint.gather(steps, monitor, self.world)
        if self.world.is_first:
            position = Position(done, steps.at_once, self.world.size, self.plan.genome, self.plan.catalogue, self.plan.digest, self.text)
            checkpoint.write(self.folder.checkpoint_path(done), tensors, position)
            self.folder.prune()
            self.folder.log("checkpoint", step=done)
        self.world.wait()
        self._saved = time.perf_counter()
        self._cost = self._saved - start


class Training:
    """One training in its folder, as one of the processes of a world runs it; `recorder` hears of it in the first."""

    def __init__(self, folder: TrainingFolder, plan: Plan, world: World, every: int | None = None) -> None:
        self.folder, self.plan, self.world, self.config = folder, plan, world, plan.search
        self.checkpoints = Checkpoints(folder, plan, every, world)

    @property
    def first_step(self) -> int:
        """How many steps are done."""
        return self.checkpoints.newest[1].step if self.checkpoints.newest else 0

    def run(self, recorder: Recorder | None) -> dict[str, Any]:
        """Train, evaluate and export; return the result, which is empty in all processes but the first.

        Raises:
            StarSearchError: when the training diverges, does not learn, or needs more memory than there is.
        """
        try:
            return self._run(recorder)
        except Unhealthy as error:
            sentence = f"the training of {self.plan.label} ended {error.outcome}: {error.reason}"
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            sentence = (
                f"the training of {self.plan.label} ran out of memory; fewer training.micro_batch_rows or more devices need less of it"
            )
        if self.world.is_first:
            self.folder.log("failed", reason=sentence)
        raise StarSearchError(sentence)

    def _run(self, recorder: Recorder | None) -> dict[str, Any]:
        store = _prepared(self.config, self.world)
        self.checkpoints.use_text(store.fingerprint)
        training = self.checkpoints.fitted(self.config.training)
        stream = TokenStream(store, training.sequence_length, training.rows, self.config.data.seed + self.plan.seed)
        validation = evaluation_batches(stream.validation_batches, self.config, store.vocabulary_size)
        torch.manual_seed(self.plan.seed + self.world.rank)
        model = self._model(store.vocabulary_size)
        if self.world.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.world.device)
        report: Callable[[Any], None] = recorder or (lambda progress: None)
        loss = unigram_loss(validation.targets, store.vocabulary_size)
        trained = train(model, stream, training, loss, report, self.world, self.checkpoints)
        weights = checkpoint.weights_of(model)
        result: dict[str, Any] = {}
        if self.world.is_first:
            whole = model if self.world.parallel == "ddp" else self._whole(weights, store.vocabulary_size)
            result = self._result(trained, whole, store, stream, validation)
            self._finish(result, weights, recorder)
        self.world.wait()
        return result

    def _model(self, vocabulary_size: int) -> LanguageModel:
        model = self._built(vocabulary_size)
        if self.plan.weights is not None and not self.first_step:
            ExportedModel.read(Path(self.plan.weights)).load_into(model)
        return model.to(self.world.device)

    def _built(self, vocabulary_size: int) -> LanguageModel:
        return candidate_model(self.config, self.plan.genome, vocabulary_size, self.plan.seed)

    def _whole(self, weights: dict[str, Tensor], vocabulary_size: int) -> LanguageModel:
        """Return the model that the processes held in parts."""
        model = self._built(vocabulary_size)
        model.load_state_dict(weights)
        return model.to(self.world.device)

    def _result(
        self,
        trained: TrainingResult,
        model: LanguageModel,
        store: TokenStore,
        stream: TokenStream,
        validation: EvaluationBatches,
    ) -> dict[str, Any]:
        precision, account = self.config.training.precision, model.backbone.accounting
        return {
            "label": self.plan.label,
            "genome": self.plan.genome,
            "seed": self.plan.seed,
            "depth": account.genome.depth,
            "width": account.width,
            "parameters": account.parameters,
            "vocabulary_size": store.vocabulary_size,
            "steps": trained.steps,
            "tokens": trained.tokens,
            "curve": trained.curve,
            "fingerprint": store.fingerprint,
            "validation": figures(evaluate(model, validation, precision)),
            "test": _test_figures(model, stream, self.config, store),
            "measured": {
                "seconds": trained.seconds,
                "tokens_per_second": speed(self.folder) or trained.tokens / trained.seconds,
                "peak_memory_bytes": peak_memory_bytes(self.world.device),
                "device": device_name(self.world.device),
                "processes": self.world.size,
                "rows_at_once": trained.rows_at_once,
            },
        }

    def _finish(self, result: dict[str, Any], weights: dict[str, Tensor], recorder: Recorder | None) -> None:
        """Export, then store the result: a kill in between exports again."""
        if not self.folder.export_path.is_dir():
            path = self.folder.path / "weights.safetensors"
            save_file({name: tensor.contiguous() for name, tensor in weights.items()}, path)
            card = training_card(self.plan, result)
            write_folder(Exportable(self.plan.genome, self.config, path, card), self.folder.export_path)
            path.unlink()
        self.folder.write_result(result)
        self.folder.log("finished", perplexity=result["validation"]["perplexity"], seconds=result["measured"]["seconds"])
        if recorder is not None:
            recorder.finish(result["steps"], {"validation_perplexity": result["validation"]["perplexity"]})


def _prepared(config: SearchConfig, world: World) -> TokenStore:
    """Return the text, which the first process prepares where it is missing."""
    if world.is_first:
        prepare(config.data)
    world.wait()
    return prepare(config.data)


def _test_figures(model: LanguageModel, stream: TokenStream, config: SearchConfig, store: TokenStore) -> dict[str, Any] | None:
    """Return the figures on the test split, nothing where it is shorter than a sequence."""
    if len(store.test) <= config.training.sequence_length:
        return None
    batches = evaluation_batches(stream.test_batches, config, store.vocabulary_size)
    return figures(evaluate(model, batches, config.training.precision))


def device_name(device: torch.device) -> str:
    """Return the GPU's name, or `cpu`."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
