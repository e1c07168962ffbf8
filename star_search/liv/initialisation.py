"""Initialisation as one table; weights that another LIV owns are drawn once, where they are owned."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from star_search.liv.featurizers import ConvolvedProjection, Decay, ExplicitKernel, ImplicitKernel, Projection
from star_search.liv.operator import LIV

Scheme = Literal["residual_scaled", "xavier", "kaiming"]
STEP_RANGE = (1e-3, 1e-1)
LAG_RANGE = (1.0, 1024.0)


def initialise(liv: LIV, depth: int, scheme: Scheme, generator: torch.Generator | None) -> None:
    """Draw the weights that this LIV owns.

    `residual_scaled` draws projections with variance 1 / fan-in and divides output maps by sqrt(2 depth) (GPT-2, section 2.3);
    `xavier` and `kaiming` draw every projection and output map as torch does by those names.
    """
    for module in liv.featurizer.values():
        for parameter, draw in _rows(module, scheme):
            draw(parameter, generator)
    scale = 1 / math.sqrt(2 * depth) if scheme == "residual_scaled" else 1.0
    SCHEMES[scheme](liv.output.weight, generator)
    liv.output.weight.data.mul_(scale)
    if liv.norm is not None:
        nn.init.ones_(liv.norm)


Draw = Callable[[Tensor, torch.Generator | None], object]


def _fan_in(weight: Tensor, generator: torch.Generator | None) -> Tensor:
    return nn.init.normal_(weight, std=weight.shape[1] ** -0.5, generator=generator)


def _short_kernel(kernel: Tensor, generator: torch.Generator | None) -> None:
    nn.init.uniform_(kernel, -(kernel.shape[1] ** -0.5), kernel.shape[1] ** -0.5, generator=generator)


def _step_bias(bias: Tensor, generator: torch.Generator | None) -> None:
    """Steps after softplus spread evenly in logarithm over STEP_RANGE (Mamba, section 3.6)."""
    low, high = map(math.log, STEP_RANGE)
    steps = torch.exp(nn.init.uniform_(torch.empty_like(bias), low, high, generator=generator))
    bias.data.copy_(steps + torch.log(-torch.expm1(-steps)))


def _rates(rate: Tensor, generator: torch.Generator | None) -> None:
    """Decay rates between 1 and 16 (Mamba-2's default)."""
    rate.data.copy_(nn.init.uniform_(torch.empty_like(rate), 1, 16, generator=generator).log())


def _filter_decay(decay: Tensor, generator: torch.Generator | None) -> None:
    """Kernels that fade over LAG_RANGE tokens, channels spread evenly in logarithm."""
    rates = 1 / torch.logspace(math.log2(LAG_RANGE[0]), math.log2(LAG_RANGE[1]), decay.numel(), base=2, device=decay.device)
    decay.data.copy_(rates + torch.log(-torch.expm1(-rates)))


SCHEMES: dict[str, Draw] = {
    "residual_scaled": _fan_in,
    "xavier": lambda weight, generator: nn.init.xavier_uniform_(weight, generator=generator),
    "kaiming": lambda weight, generator: nn.init.kaiming_uniform_(weight, nonlinearity="linear", generator=generator),
}


def _rows(module: nn.Module, scheme: Scheme) -> Iterator[tuple[Tensor, Draw]]:
    """Yield (parameter, how it is drawn) for one feature group."""
    if isinstance(module, Projection | Decay):
        yield module.weight, SCHEMES[scheme]
    if isinstance(module, ConvolvedProjection | ExplicitKernel):
        yield module.kernel, _short_kernel
    if isinstance(module, Decay):
        yield module.bias, _step_bias
        yield module.rate, _rates
    if isinstance(module, ImplicitKernel):
        yield module.first.weight, _fan_in
        yield module.first.bias, lambda bias, generator: nn.init.uniform_(bias, -math.pi, math.pi, generator=generator)
        yield module.second.weight, _fan_in
        yield module.second.bias, lambda bias, generator: nn.init.uniform_(bias, -math.pi, math.pi, generator=generator)
        yield module.last.weight, _fan_in
        yield module.decay, _filter_decay
