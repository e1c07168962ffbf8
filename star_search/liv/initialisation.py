"""Initialisation as one table; weights that another LIV owns are drawn once, where they are owned."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from star_search.liv.drawing import draw_normal
from star_search.liv.featurizers import (
    Convolved,
    Decay,
    DirectFeatures,
    FixedDecay,
    ImplicitKernel,
    LiquidDecay,
    MonarchMap,
    Poles,
    Projection,
)
from star_search.liv.operator import LIV

Scheme = Literal["residual_scaled", "xavier", "kaiming"]
STEP_RANGE = (1e-3, 1e-1)
LAG_RANGE = (1.0, 1024.0)
# Of factors per channel. Up to three features that multiply each other are then the same channel x, and x^6 averages 15 where x is a unit
# normal: factors of variance 15^(-1/3) keep the size of the product.
FACTOR_RANGE = math.sqrt(3 * 15 ** (-1 / 3))


def initialise(liv: LIV, depth: int, scheme: Scheme, generator: torch.Generator | None) -> None:
    """Draw the weights that this LIV owns.

    `residual_scaled` draws projections with variance 1 / fan-in and divides output maps by sqrt(2 depth) (GPT-2, section 2.3);
    `xavier` and `kaiming` draw every projection and output map as torch does by those names.
    """
    initialise_groups(liv.featurizer, scheme, generator)
    for parameter, draw in _rows(liv.output, scheme):
        draw(parameter, generator)
    if scheme == "residual_scaled":
        next(liv.output.parameters()).data.div_(math.sqrt(2 * depth))
    if liv.lambda_vectors is not None:
        nn.init.normal_(liv.lambda_vectors, std=0.1, generator=generator)
    if liv.norm is not None:
        nn.init.ones_(liv.norm)


def initialise_groups(groups: nn.ModuleDict, scheme: Scheme, generator: torch.Generator | None) -> None:
    """Draw the weights of feature groups by name."""
    for name, module in groups.items():
        for parameter, draw in _rows(module, scheme, name):
            draw(parameter, generator)


Draw = Callable[[Tensor, torch.Generator | None], object]


def fan_in(weight: Tensor, generator: torch.Generator | None) -> Tensor:
    """Variance 1 / fan-in, which keeps the size of what it projects."""
    return draw_normal(weight, weight.shape[-1] ** -0.5, generator)


def _short_kernel(kernel: Tensor, generator: torch.Generator | None) -> None:
    """Variance 1 / length, which keeps the size of what it convolves: a class may convolve several of the features that it multiplies."""
    bound = math.sqrt(3 / kernel.shape[1])
    nn.init.uniform_(kernel, -bound, bound, generator=generator)


def _step_bias(bias: Tensor, generator: torch.Generator | None) -> None:
    """Steps after softplus spread evenly in logarithm over STEP_RANGE (Mamba, section 3.6)."""
    low, high = map(math.log, STEP_RANGE)
    steps = torch.exp(nn.init.uniform_(torch.empty_like(bias), low, high, generator=generator))
    bias.data.copy_(steps + torch.log(-torch.expm1(-steps)))


def _rates(rate: Tensor, generator: torch.Generator | None) -> None:
    """Decay rates between 1 and 16 (Mamba-2's default); where a channel has several modes, mode n has rate n + 1 (Mamba, S4D-Real)."""
    if rate.dim() == 2:
        rate.data.copy_(torch.arange(1, len(rate) + 1).log()[:, None].expand_as(rate))
        return
    rate.data.copy_(nn.init.uniform_(torch.empty_like(rate), 1, 16, generator=generator).log())


def _filter_decay(decay: Tensor, generator: torch.Generator | None) -> None:
    """Kernels and decays that fade over LAG_RANGE tokens, spread evenly in logarithm: the modes of a channel far from each other."""
    rates = 1 / torch.logspace(math.log2(LAG_RANGE[0]), math.log2(LAG_RANGE[1]), decay.numel(), base=2, device=decay.device)
    decay.data.copy_((rates + torch.log(-torch.expm1(-rates))).view_as(decay))


def _kernel_map(decay: Tensor) -> Draw:
    """The last map of a long kernel: each channel's kernel has unit energy, however slowly it fades; sines have mean square 1/2."""

    def draw(weight: Tensor, generator: torch.Generator | None) -> None:
        energy_D = 0.5 / -torch.expm1(-2 * functional.softplus(decay.data))
        fan_in(weight, generator).data.div_(energy_D.sqrt()[:, None])

    return draw


def log_steps(log_step: Tensor, generator: torch.Generator | None) -> None:
    """Steps spread evenly in logarithm over STEP_RANGE (S4D, section 4.1)."""
    low, high = map(math.log, STEP_RANGE)
    nn.init.uniform_(log_step, low, high, generator=generator)


def _harmonics(imaginary: Tensor, generator: torch.Generator | None) -> None:
    """S4D-Lin: mode n turns by pi n (S4D, section 4.2)."""
    imaginary.data.copy_((math.pi * torch.arange(len(imaginary)))[:, None].expand_as(imaginary))


def _time_constants(log_tau: Tensor, generator: torch.Generator | None) -> None:
    """Mode n forgets n + 1 times as fast as the first (S4D-Real)."""
    log_tau.data.copy_(-torch.arange(1, len(log_tau) + 1).log()[:, None].expand_as(log_tau))


def _direct(name: str) -> Draw:
    """A kernel as a convolution; B as ones; C as noise whose sum over the modes has unit variance (S4D, section 4.3)."""
    if name == "kernel":
        return _short_kernel
    return _ones if name == "B" else _noise


def _ones(B: Tensor, generator: torch.Generator | None) -> None:
    """One, the real one where B is complex."""
    nn.init.ones_(B)
    if B.dim() == 3:
        nn.init.zeros_(B[1])


def _noise(C: Tensor, generator: torch.Generator | None) -> None:
    nn.init.normal_(C, std=(C.numel() / C.shape[-1]) ** -0.5, generator=generator)


SCHEMES: dict[str, Draw] = {
    "residual_scaled": fan_in,
    "xavier": lambda weight, generator: nn.init.xavier_uniform_(weight, generator=generator),
    "kaiming": lambda weight, generator: nn.init.kaiming_uniform_(weight, nonlinearity="linear", generator=generator),
}


def _of_channels(draw: Draw) -> Draw:
    """Return how a map of channels is drawn: a matrix as `draw` says, matrices per head one by one, factors evenly within FACTOR_RANGE."""

    def draw_map(weight: Tensor, generator: torch.Generator | None) -> None:
        if weight.dim() == 1:
            nn.init.uniform_(weight, -FACTOR_RANGE, FACTOR_RANGE, generator=generator)
        for matrix in weight.unbind() if weight.dim() == 3 else [weight] if weight.dim() == 2 else []:
            draw(matrix, generator)

    return draw_map


def _rows(module: nn.Module, scheme: Scheme, name: str = "") -> Iterator[tuple[Tensor, Draw]]:
    """Yield (parameter, how it is drawn) for a feature group or an output map."""
    if isinstance(module, MonarchMap):
        yield module.first, fan_in
        yield module.second, fan_in
    if isinstance(module, DirectFeatures):
        yield module.features, _direct(name)
    if isinstance(module, Poles):
        yield module.log_real, lambda real, generator: nn.init.constant_(real, math.log(0.5))
        yield module.imaginary, _harmonics
        yield module.log_step, log_steps
    if isinstance(module, LiquidDecay):
        yield module.weight, _of_channels(fan_in)
        yield module.bias, lambda bias, generator: nn.init.zeros_(bias)
        yield module.log_delta, log_steps
        yield module.log_tau, _time_constants
    if isinstance(module, Projection | Decay):
        yield module.weight, _of_channels(SCHEMES[scheme])
    if isinstance(module, Convolved):
        yield module.kernel, _short_kernel
    if isinstance(module, Decay):
        yield module.bias, _step_bias
        yield module.rate, _rates
    if isinstance(module, FixedDecay):
        yield module.speed, _filter_decay
    if isinstance(module, ImplicitKernel):
        yield module.first.weight, fan_in
        yield module.first.bias, lambda bias, generator: nn.init.uniform_(bias, -math.pi, math.pi, generator=generator)
        yield module.second.weight, fan_in
        yield module.second.bias, lambda bias, generator: nn.init.uniform_(bias, -math.pi, math.pi, generator=generator)
        yield module.decay, _filter_decay
        yield module.last.weight, _kernel_map(module.decay)
