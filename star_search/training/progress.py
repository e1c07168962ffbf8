"""How far a training is; without torch, so that the driver stays light."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """Steps done and asked for, the recent loss in nats a token, speed, the gradient norm of the last step before clipping, and the
    seconds since the training was called, without those of saving."""

    step: int
    steps: int
    loss: float
    tokens_per_second: float
    gradient_norm: float = 0.0
    seconds: float = math.nan
