"""The proxy training: a fixed token budget, and the loss on validation text after it.

Shapes: B rows, T tokens, N = B T, D width, V vocabulary.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from star_search.config import TrainingConfig
from star_search.data.stream import EvaluationBatches, TokenStream
from star_search.model.cuda_graph import replayed
from star_search.model.language_model import LanguageModel
from star_search.runs.records import Outcome
from star_search.training.determinism import deterministic
from star_search.training.engine import BACKEND, Kind, build_steps, compiled_model
from star_search.training.loss import chunks
from star_search.training.precision import autocast
from star_search.training.progress import Progress
from star_search.training.stability import HealthMonitor, Unhealthy
from star_search.training.steps import GraphSteps, Readings, Steps
from star_search.training.world import World

READ_INTERVAL = 10
CURVE_POINTS = 50


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a finished training leaves: steps, tokens, the loss curve as (step, mean loss since the point before), the micro-batch."""

    steps: int
    tokens: int
    curve: list[list[float]]
    seconds: float
    rows_at_once: int


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """Loss in nats a token over counted tokens, and the bytes of text they stand for; the same of each subset among them."""

    loss: float
    tokens: int
    text_bytes: int
    subsets: dict[str, ValidationResult] = field(default_factory=dict)

    @property
    def perplexity(self) -> float:
        """exp of the mean loss."""
        return math.exp(self.loss)

    @property
    def bits_per_byte(self) -> float:
        """Bits spent on each byte of the text."""
        return self.loss * self.tokens / (math.log(2) * self.text_bytes)


class Saver(Protocol):
    """Keeps the state of a training and gives it back."""

    def restore(self, steps: Steps, monitor: HealthMonitor) -> int:
        """Put what was kept last back in place, and return how many steps were done; 0 where nothing was kept."""
        ...

    def is_due(self, done: int) -> bool:
        """Return whether to save after so many steps."""
        ...

    def save(self, done: int, steps: Steps, monitor: HealthMonitor) -> None:
        """Keep the state after so many steps."""
        ...


def train(
    model: LanguageModel,
    stream: TokenStream,
    config: TrainingConfig,
    unigram_loss: float,
    report: Callable[[Progress], None] = lambda progress: None,
    world: World | None = None,
    saver: Saver | None = None,
) -> TrainingResult:
    """Train a model in place on the stream's batches 0, 1, ... until the token budget is spent.

    With a `world`, this is one of its processes. With a `saver` the training goes on where that was left.

    Raises:
        Unhealthy: when the training diverges or does not learn.
    """
    with deterministic(config.deterministic):
        start, saving = time.perf_counter(), 0.0
        model.train()
        steps, monitor = build_steps(model, stream, config, world), HealthMonitor(config, unigram_loss)
        first = saver.restore(steps, monitor) if saver else 0
        steps.begin_at(first)
        # A GPU is given its next steps before the losses of the last are waited for; a CPU has done a step when it is called.
        lag = 1 if isinstance(steps, GraphSteps) else 0
        waiting: deque[tuple[int, Callable[[], Readings]]] = deque()
        for done in range(first + 1, config.steps + 1):
            steps.run(done - 1)
            saves = saver is not None and saver.is_due(done)
            if done % READ_INTERVAL == 0 or done == config.steps or saves:
                waiting.append((done, steps.mark()))
                while len(waiting) > (0 if saves or done == config.steps else lag):
                    marked, read = waiting.popleft()
                    readings = read()
                    _observe(readings, monitor, done * config.batch_tokens)
                    seconds = time.perf_counter() - start - saving
                    speed = (marked - first) * config.batch_tokens / seconds
                    report(Progress(marked, config.steps, monitor.recent_loss(), speed, readings[-1][1], seconds))
            if saver is not None and saves:
                began = time.perf_counter()
                saver.save(done, steps, monitor)
                saving += time.perf_counter() - began
        curve = loss_curve(monitor.losses)
        seconds = time.perf_counter() - start
        return TrainingResult(config.steps, config.steps * config.batch_tokens, curve, seconds, steps.at_once)


def _observe(readings: Readings, monitor: HealthMonitor, tokens: int) -> None:
    """Hand losses and gradient norms to the monitor; `tokens` are spent by now."""
    try:
        for loss, gradient_norm in readings:
            monitor.observe(loss, gradient_norm)
    except Unhealthy as error:
        error.tokens = tokens
        raise


# (inputs, targets) -> loss of every target in fp32, [N]; whether the logits are the same at every position
Judge = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@torch.no_grad()
def evaluate(model: LanguageModel, batches: EvaluationBatches, precision: str = "float32", judge: Judge | None = None) -> ValidationResult:
    """Return the loss on validation batches, by whole logits unless `judge` knows another way.

    Raises:
        Unhealthy: when the loss is not finite or the logits are the same at every position.
    """
    model.eval()
    judge = judge or (lambda inputs_BT, targets_BT: _judge(model, inputs_BT, targets_BT, precision))
    pieces, constant = [], True
    for inputs_BT, targets_BT in _on_device(model, batches):
        losses_N, same = judge(inputs_BT, targets_BT)
        pieces.append(losses_N.double().cpu().numpy())
        constant = constant and bool(same)
    losses = np.concatenate(pieces)
    loss = float(losses.mean())
    if not math.isfinite(loss):
        raise Unhealthy(Outcome.unstable, f"the validation loss is {loss}")
    if constant:
        raise Unhealthy(Outcome.degenerate, "the logits are the same at every position")
    subsets = {name: ValidationResult(*figures) for name, figures in batches.by_subset(losses).items()}
    return ValidationResult(loss, len(losses), batches.count_bytes, subsets)


def _judge(model: LanguageModel, inputs_BT: Tensor, targets_BT: Tensor, precision: str) -> tuple[Tensor, Tensor]:
    with autocast(inputs_BT.device, precision):
        logits_BTV = model(inputs_BT).float()
    losses_N = functional.cross_entropy(logits_BTV.flatten(0, 1), targets_BT.flatten(), reduction="none")
    return losses_N, (logits_BTV == logits_BTV[:1, :1]).all()


def compiled_judge(model: LanguageModel, config: TrainingConfig, rows: int, kind: Kind = "compiled", backend: str = BACKEND) -> Judge:
    """Return a judge by the blocks that trained `rows` rows at once; batches of other shapes are judged by whole logits.

    An engine that trains by a graph judges by one too.
    """
    model.eval()
    blocks = compiled_model(model, config, kind, backend)

    def by_blocks(inputs_BT: Tensor, targets_BT: Tensor) -> tuple[Tensor, Tensor]:
        # Without gradients the blocks would be compiled a second time.
        with torch.enable_grad(), autocast(inputs_BT.device, config.precision):
            hidden_ND = blocks.hidden(inputs_BT).detach().flatten(0, 1)
        return _judge_in_chunks(hidden_ND, model.embedding.to(hidden_ND.dtype), targets_BT.flatten())

    whole = by_blocks if kind == "compiled" else replayed(by_blocks, by_blocks)

    def judge(inputs_BT: Tensor, targets_BT: Tensor) -> tuple[Tensor, Tensor]:
        if inputs_BT.shape != (rows, config.sequence_length):
            return _judge(model, inputs_BT, targets_BT, config.precision)
        return whole(inputs_BT, targets_BT)

    return judge


def _judge_in_chunks(hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor) -> tuple[Tensor, Tensor]:
    first_V = hidden_ND[0] @ weight_VD.T
    losses, same = [], []
    for part in chunks(hidden_ND, weight_VD):
        logits_NV = hidden_ND[part] @ weight_VD.T
        losses.append(functional.cross_entropy(logits_NV.float(), targets_N[part], reduction="none"))
        same.append((logits_NV == first_V).all())
    return torch.cat(losses), torch.stack(same).all()


def _on_device(model: LanguageModel, batches: EvaluationBatches) -> Iterator[tuple[Tensor, Tensor]]:
    for inputs, targets in batches:
        yield torch.from_numpy(inputs).to(model.embedding.device), torch.from_numpy(targets).to(model.embedding.device)


def loss_curve(losses: list[float]) -> list[list[float]]:
    """Return at most 50 points (last step, mean loss) that cover all steps evenly."""
    width = -(-len(losses) // CURVE_POINTS)
    chunks = [losses[start : start + width] for start in range(0, len(losses), width)]
    ends = [min((index + 1) * width, len(losses)) for index in range(len(chunks))]
    return [[end, sum(chunk) / len(chunk)] for end, chunk in zip(ends, chunks, strict=True)]
