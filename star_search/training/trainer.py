"""The proxy training: a fixed token budget, and the loss on validation text after it.

Shapes: B rows, T tokens, V vocabulary.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from star_search.config import TrainingConfig
from star_search.data.stream import EvaluationBatches, TokenStream
from star_search.model.language_model import LanguageModel
from star_search.runs.records import Outcome
from star_search.training.progress import Progress
from star_search.training.schedule import learning_rate
from star_search.training.stability import HealthMonitor, Unhealthy

READ_INTERVAL = 10
CURVE_POINTS = 50


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a finished training leaves: steps, tokens, and the loss curve as (step, mean loss since the point before)."""

    steps: int
    tokens: int
    curve: list[list[float]]
    seconds: float


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


def train(
    model: LanguageModel,
    stream: TokenStream,
    config: TrainingConfig,
    unigram_loss: float,
    report: Callable[[Progress], None] = lambda progress: None,
) -> TrainingResult:
    """Train a model in place on the stream's batches 0, 1, ... until the token budget is spent.

    Raises:
        Unhealthy: when the training diverges or does not learn.
    """
    device = model.embedding.device
    optimizer = build_optimizer(model, config)
    monitor = HealthMonitor(config, unigram_loss)
    unread: list[tuple[Tensor, Tensor]] = []
    start = time.perf_counter()
    model.train()
    for step in range(config.steps):
        inputs_BT, targets_BT = (torch.from_numpy(array).to(device) for array in stream.batch(step))
        unread.append(_step(model, optimizer, config, step, inputs_BT, targets_BT))
        if len(unread) == READ_INTERVAL or step + 1 == config.steps:
            _read(unread, monitor, (step + 1) * config.batch_tokens)
            speed = (step + 1) * config.batch_tokens / (time.perf_counter() - start)
            report(Progress(step + 1, config.steps, monitor.recent_loss(), speed))
    curve = loss_curve(monitor.losses)
    return TrainingResult(config.steps, config.steps * config.batch_tokens, curve, time.perf_counter() - start)


def _read(unread: list[tuple[Tensor, Tensor]], monitor: HealthMonitor, tokens: int) -> None:
    """Hand the losses and gradient norms of the last steps to the monitor; `tokens` are spent by now."""
    try:
        for loss, gradient_norm in unread:
            monitor.observe(loss.item(), gradient_norm.item())
    except Unhealthy as error:
        error.tokens = tokens
        raise
    unread.clear()


def _step(
    model: LanguageModel, optimizer: torch.optim.Optimizer, config: TrainingConfig, step: int, inputs_BT: Tensor, targets_BT: Tensor
) -> tuple[Tensor, Tensor]:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(config, step)
    optimizer.zero_grad(set_to_none=True)
    loss = cross_entropy(model, inputs_BT, targets_BT, config.precision)
    loss.backward()
    gradient_norm = nn.utils.clip_grad_norm_(model.parameters(), config.gradient_clip)
    optimizer.step()
    return loss.detach(), gradient_norm


def cross_entropy(model: LanguageModel, inputs_BT: Tensor, targets_BT: Tensor, precision: str) -> Tensor:
    """Return the mean loss in nats a token, computed in fp32."""
    with torch.autocast(inputs_BT.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        logits_BTV = model(inputs_BT)
    return functional.cross_entropy(logits_BTV.flatten(0, 1).float(), targets_BT.flatten())


def build_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.AdamW:
    """Return AdamW; weight decay acts on matrices alone, not on norms, biases, decay rates and scales."""
    matrices = [parameter for parameter in model.parameters() if parameter.dim() >= 2]
    others = [parameter for parameter in model.parameters() if parameter.dim() < 2]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, fused=True)


@torch.no_grad()
def evaluate(model: LanguageModel, batches: EvaluationBatches, precision: str = "float32") -> ValidationResult:
    """Return the loss on validation batches.

    Raises:
        Unhealthy: when the loss is not finite or the logits are the same at every position.
    """
    model.eval()
    pieces, constant = [], True
    for inputs_BT, targets_BT in _on_device(model, batches):
        with torch.autocast(inputs_BT.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            logits_BTV = model(inputs_BT).float()
        losses_BT = functional.cross_entropy(logits_BTV.flatten(0, 1), targets_BT.flatten(), reduction="none")
        pieces.append(losses_BT.double().cpu().numpy())
        constant = constant and bool((logits_BTV == logits_BTV[:1, :1]).all())
    losses = np.concatenate(pieces)
    loss = float(losses.mean())
    if not math.isfinite(loss):
        raise Unhealthy(Outcome.unstable, f"the validation loss is {loss}")
    if constant:
        raise Unhealthy(Outcome.degenerate, "the logits are the same at every position")
    subsets = {name: ValidationResult(*figures) for name, figures in batches.by_subset(losses).items()}
    return ValidationResult(loss, len(losses), batches.count_bytes, subsets)


def _on_device(model: LanguageModel, batches: EvaluationBatches) -> Iterator[tuple[Tensor, Tensor]]:
    for inputs, targets in batches:
        yield torch.from_numpy(inputs).to(model.embedding.device), torch.from_numpy(targets).to(model.embedding.device)


def loss_curve(losses: list[float]) -> list[list[float]]:
    """Return at most 50 points (last step, mean loss) that cover all steps evenly."""
    width = -(-len(losses) // CURVE_POINTS)
    chunks = [losses[start : start + width] for start in range(0, len(losses), width)]
    ends = [min((index + 1) * width, len(losses)) for index in range(len(chunks))]
    return [[end, sum(chunk) / len(chunk)] for end, chunk in zip(ends, chunks, strict=True)]
