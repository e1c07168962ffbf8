"""A model trained on one MAD task, and the share of test targets that it gets right.

Shapes: B rows, T tokens, D width, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from star_search.config_objectives import MADConfig
from star_search.model.cuda_graph import replayed
from star_search.model.star_backbone import STARBackbone
from star_search.objectives.mad.instances import IGNORED
from star_search.objectives.mad.tasks import Examples
from star_search.runs.records import Outcome
from star_search.training.optimizer import prepare_state
from star_search.training.precision import autocast
from star_search.training.stability import Unhealthy

FINAL_RATE, SOLVED, LOOKS = 1e-6, 0.999, 10


class _Norm(nn.RMSNorm):
    """A norm in fp32, of whatever autocast makes."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.float())


class Compressor(nn.Module):
    """The backbone's last position, decoded into every token by a network that sees it and a position: mad-lab's auto-encoder."""

    def __init__(self, backbone: STARBackbone, vocabulary: int) -> None:
        super().__init__()
        width = backbone.width
        self.embedding, self.backbone = nn.Embedding(vocabulary, width), backbone
        inner = [(_Norm(width), nn.Linear(width, width), nn.GELU()) for _ in range(2)]
        self.decoder = nn.Sequential(*inner[0], *inner[1], _Norm(width), nn.Linear(width, vocabulary))

    def forward(self, tokens_BT: Tensor) -> Tensor:
        """Return logits [B, T, V] of the tokens read."""
        code_BD = self.backbone(self.embedding(tokens_BT))[:, -1]
        return self.decoder(code_BD[:, None] + positions(tokens_BT.shape[1], code_BD.shape[1], code_BD.device))


def positions(length: int, width: int, device: torch.device | None = None) -> Tensor:
    """Return sines and cosines of positions [T, D], periods from 2 pi to 10,000 times that."""
    rates = 10_000.0 ** -(torch.arange(width // 2, device=device) / max(1, width // 2 - 1))
    angles = torch.arange(length, device=device)[:, None] * rates
    return torch.cat((angles.sin(), angles.cos()), 1)


class _Steps:
    """Steps of AdamW on the examples of one task; on a GPU all batches of the first one's size replay one graph."""

    def __init__(self, model: nn.Module, settings: MADConfig, device: torch.device, precision: str) -> None:
        self._model, self._precision = model, precision
        self._rate = torch.tensor(settings.learning_rate, device=device) if device.type == "cuda" else None
        rate, decay, on_gpu = settings.learning_rate, settings.weight_decay, self._rate is not None
        self._optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=decay, fused=on_gpu or None, capturable=on_gpu)
        self._step = self._take
        if self._rate is not None:
            self._optimizer.param_groups[0]["lr"] = self._rate
            self._step = replayed(self._take, self._prepare)

    def take(self, inputs_BT: Tensor, targets_BT: Tensor, rate: float) -> Tensor:
        """Take a step at a learning rate, and return its loss."""
        if self._rate is None:
            self._optimizer.param_groups[0]["lr"] = rate
        else:
            self._rate.fill_(rate)
        return self._step(inputs_BT, targets_BT)

    def _take(self, inputs_BT: Tensor, targets_BT: Tensor) -> Tensor:
        loss = self._gradient(inputs_BT, targets_BT)
        self._optimizer.step()
        return loss

    def _gradient(self, inputs_BT: Tensor, targets_BT: Tensor) -> Tensor:
        with autocast(inputs_BT.device, self._precision):
            loss = _loss(self._model(inputs_BT), targets_BT)
        self._optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        return loss.detach()

    def _prepare(self, inputs_BT: Tensor, targets_BT: Tensor) -> None:
        assert self._rate is not None
        self._gradient(inputs_BT, targets_BT)
        prepare_state(self._optimizer, self._rate)


def accuracy_after_training(
    model: nn.Module, found: Examples, settings: MADConfig, seed: int, device: torch.device, precision: str = "float32"
) -> float:
    """Train a model in place with AdamW and a cosine, and return its accuracy on the test examples; products are made in `precision`.

    It looks at the test examples ten times and stops where 99.9 % are right, as mad-lab does.

    Raises:
        Unhealthy: with outcome `unstable`, when the loss is not finite.
    """
    model.to(device).train()
    steps = _Steps(model, settings, device, precision)
    inputs, targets = (torch.from_numpy(array).to(device) for array in (found.inputs, found.targets))
    accuracy, every = 0.0, max(1, settings.steps // LOOKS)
    for step, rows in zip(range(settings.steps), _batches(len(inputs), settings.batch, seed), strict=False):
        rows = rows.to(device)
        loss = steps.take(inputs[rows], targets[rows], _rate(settings, step))
        if (step + 1) % every == 0 or step + 1 == settings.steps:
            if not math.isfinite(loss.item()):
                raise Unhealthy(Outcome.unstable, f"the loss on a MAD task is {loss.item()} at step {step + 1}")
            with autocast(device, precision):
                accuracy = held_out_accuracy(model, found, settings.batch, device)
            if accuracy >= SOLVED:
                break
    return accuracy


def _loss(logits_BTV: Tensor, targets_BT: Tensor) -> Tensor:
    return functional.cross_entropy(logits_BTV.flatten(0, 1), targets_BT.flatten(), ignore_index=IGNORED)


def _batches(count: int, batch: int, seed: int) -> Iterator[Tensor]:
    """Yield the rows of batches, epoch after epoch, each in an order of its own; a last batch may be smaller."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield from torch.randperm(count, generator=generator).split(batch)


def _rate(settings: MADConfig, step: int) -> float:
    share = (1 + math.cos(math.pi * step / settings.steps)) / 2
    return FINAL_RATE + (settings.learning_rate - FINAL_RATE) * share


@torch.no_grad()
def held_out_accuracy(model: nn.Module, found: Examples, batch: int, device: torch.device) -> float:
    """Return the share of the test targets, all of them together, that the likeliest token is."""
    model.eval()
    right = asked = 0
    for start in range(0, len(found.test_inputs), batch):
        inputs_BT, targets_BT = (
            torch.from_numpy(array[start : start + batch]).to(device) for array in (found.test_inputs, found.test_targets)
        )
        guesses_BT = model(inputs_BT).argmax(-1)
        right += int((guesses_BT == targets_BT).sum())
        asked += int((targets_BT != IGNORED).sum())
    model.train()
    return right / asked
