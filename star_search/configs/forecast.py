"""An objective of one's own: how well an architecture forecasts a time series, trained on `STARBackbone` instead of text.

Shapes: B series, T steps, D width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from star_search.objectives.candidate import Candidate

LENGTH, ROWS, STEPS, LEARNING_RATE = 96, 32, 120, 3e-3


def series(rows: int, seed: int) -> Tensor:
    """Return series [B, LENGTH + 1]: two sine waves of unknown periods and phases, a step at an unknown time, and noise of 0.1."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(LENGTH + 1.0)
    value_BT = 0.1 * torch.randn(rows, LENGTH + 1, generator=generator)
    for _ in range(2):
        period_B1 = 6 + 30 * torch.rand(rows, 1, generator=generator)
        phase_B1 = 2 * math.pi * torch.rand(rows, 1, generator=generator)
        value_BT += torch.sin(2 * math.pi * time / period_B1 + phase_B1)
    begin_B1 = LENGTH * torch.rand(rows, 1, generator=generator)
    return value_BT + torch.randn(rows, 1, generator=generator) * (time > begin_B1)


class Forecaster(nn.Module):
    """A backbone between an embedding of the values and a forecast of the next one's difference."""

    def __init__(self, candidate: Candidate) -> None:
        super().__init__()
        self.backbone = candidate.backbone()
        self.embed = nn.Linear(1, self.backbone.width)
        self.head = nn.Linear(self.backbone.width, 1)

    def forward(self, value_BT: Tensor) -> Tensor:
        """Return forecasts [B, T], each from what stands up to its step."""
        return value_BT + self.head(self.backbone(self.embed(value_BT[..., None])))[..., 0]


def error(candidate: Candidate) -> float:
    """Return the squared error of forecasts of one step over that of `the next value is this one`, on series that nobody trained on."""
    model = Forecaster(candidate).to(candidate.device)
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE)
    for step in range(STEPS):
        loss = _squared_error(model, series(ROWS, step).to(candidate.device))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    held_out_BT = series(256, seed=2**32).to(candidate.device)
    with torch.no_grad():
        return float(_squared_error(model.eval(), held_out_BT) / (held_out_BT[:, 1:] - held_out_BT[:, :-1]).square().mean())


def _squared_error(model: Forecaster, value_BT: Tensor) -> Tensor:
    return (model(value_BT[:, :-1]) - value_BT[:, 1:]).square().mean()


# It brings its own data and training: no language model is needed.
error.trains_itself = True  # type: ignore[attr-defined]
