"""Composition: LIVs in parallel, their outputs combined by learned weights or by a liquid time-constant router.

Shapes: B batch, T tokens, D width, M LIVs of a block.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from star_search.genome.composition import Block
from star_search.liv.initialisation import fan_in, log_steps
from star_search.liv.scan import linear_scan

TIME_CONSTANT = 1.0


class Combination(nn.Module):
    """How a block's outputs become one: `weights(x)` gives the factor of each LIV.

    At the initialisation every factor is 1 / sqrt(M), so that a block adds as much variance to the stream as one LIV.
    """

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.block = block

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Return the factors, broadcastable to [B, T, M]."""
        raise NotImplementedError

    def initialise(self, generator: torch.Generator | None) -> None:
        """Draw the parameters."""
        raise NotImplementedError


class MixingWeights(Combination):
    """One learned factor for each LIV of the block: `y = sum_m w_m y_m`."""

    def __init__(self, block: Block) -> None:
        super().__init__(block)
        self.weights = nn.Parameter(torch.empty(block.size))

    def initialise(self, generator: torch.Generator | None) -> None:
        """Begin with equal factors."""
        nn.init.constant_(self.weights, self.block.size**-0.5)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Return the factors [M]."""
        return self.weights


class LiquidRouter(Combination):
    """Gates from a liquid time-constant state: `h_t = a_t h_{t-1} + (1 - a_t) b(x_t)`, `a_t = exp(-delta (1 / tau + softplus(f(x_t))))`,
    `y_t = sqrt(M) sum_m softmax(h_t)_m y_m`; f and b are affine maps of x alone, so that a parallel scan trains it (docs/design.md).
    """

    def __init__(self, block: Block, width: int, top_k: int | None) -> None:
        super().__init__(block)
        self.top_k = top_k
        self.speed_weight = nn.Parameter(torch.empty(block.size, width))
        self.speed_bias = nn.Parameter(torch.empty(block.size))
        self.target_weight = nn.Parameter(torch.empty(block.size, width))
        self.target_bias = nn.Parameter(torch.empty(block.size))
        self.log_delta = nn.Parameter(torch.empty(block.size))
        self.log_tau = nn.Parameter(torch.empty(block.size))

    def initialise(self, generator: torch.Generator | None) -> None:
        """Begin with gates near equal: small targets, steps spread evenly in logarithm, one time constant."""
        for weight in (self.speed_weight, self.target_weight):
            fan_in(weight, generator)
        log_steps(self.log_delta, generator)
        for bias in (self.speed_bias, self.target_bias):
            nn.init.zeros_(bias)
        nn.init.constant_(self.log_tau, math.log(TIME_CONSTANT))

    def _scan_inputs(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the decay and what is added, each [..., M], in fp32 at least: a state gathers over many tokens."""
        precise = torch.promote_types(x.dtype, torch.float32)
        speed = torch.exp(-self.log_tau) + functional.softplus(functional.linear(x, self.speed_weight, self.speed_bias))
        log_decay = -(self.log_delta.exp() * speed).to(precise)
        return log_decay.exp(), -torch.expm1(log_decay) * functional.linear(x, self.target_weight, self.target_bias)

    def states(self, x_BTD: Tensor) -> Tensor:
        """Return h [B, T, M]; kernels would hold it in the precision of autocast."""
        decay, added = self._scan_inputs(x_BTD)
        with torch.autocast(x_BTD.device.type, enabled=False):
            return linear_scan(decay, added)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Return the factors [B, T, M]."""
        return self.gates(self.states(x_BTD))

    def step(self, x_BD: Tensor, state_BM: Tensor) -> Tensor:
        """Advance the state in place by one token and return the factors [B, M]."""
        decay, added = self._scan_inputs(x_BD)
        state_BM.copy_(decay * state_BM + added)
        return self.gates(state_BM)

    def gates(self, states: Tensor) -> Tensor:
        """Return `sqrt(M) softmax(h)`; at inference with `top_k`, the k largest alone, scaled to the same sum."""
        gates = states.softmax(-1)
        if self.top_k is not None and self.top_k < self.block.size and not self.training:
            kept = torch.zeros_like(gates).scatter_(-1, gates.topk(self.top_k, -1).indices, 1.0)
            gates = gates * kept
            gates = gates / gates.sum(-1, keepdim=True)
        return math.sqrt(self.block.size) * gates


def combination_of(block: Block, width: int, top_k: int | None) -> Combination:
    """Return the module that combines a block of several LIVs."""
    return LiquidRouter(block, width, top_k) if block.is_routed else MixingWeights(block)
