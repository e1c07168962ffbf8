"""The elementwise scan as two operators that compilation sees as one node each; `liv/scan.py` is its CPU path.

Shapes: B rows, T tokens, F features, G decays.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Long tiles where there are few programs, short ones where there are as many anyway (measured on an H200).
TILE = {"TIME": 128, "FEATURES": 16, "num_warps": 4}
TILE_OF_MANY = {"TIME": 32, "FEATURES": 32, "num_warps": 2}
MANY = 2**15


def _layout(decay: Tensor, values: Tensor) -> tuple[int, int]:
    """Return (inner, width): feature f of `values` decays by element `f // inner * width + f % width` of `decay`.

    Raises:
        ValueError: when the trailing dimensions of `decay` that are 1 are not neighbours.
    """
    sizes, mine = values.shape[2:], decay.shape[2:]
    spread = [dim for dim, (whole, own) in enumerate(zip(sizes, mine, strict=True)) if own != whole]
    if not spread:
        features = math.prod(sizes)
        return features, features
    first, last = spread[0], spread[-1] + 1
    if any(mine[dim] != 1 for dim in range(first, last)):
        raise ValueError(f"a scan's decay of shape {tuple(decay.shape)} spreads over parts of {tuple(values.shape)} that are apart")
    return math.prod(sizes[first:]), math.prod(sizes[last:])


def _launch(values: Tensor) -> tuple[tuple[int, int], dict[str, int]]:
    """Return the grid and the settings for values [B, T, ...]."""
    rows, features = values.shape[0], math.prod(values.shape[2:])
    tile = TILE_OF_MANY if rows * features >= MANY else TILE
    return (-(-features // tile["FEATURES"]), rows), tile


def _sizes(decay: Tensor, values: Tensor) -> tuple[int, ...]:
    return values.shape[1], math.prod(values.shape[2:]), math.prod(decay.shape[2:]), *_layout(decay, values)


@torch.library.custom_op("star_search::scan", mutates_args=())
def scan(decay: Tensor, values: Tensor) -> Tensor:
    """Return all states of `h_t = decay_t h_{t-1} + values_t` in the dtype of `values`, summed in fp32."""
    decay, values = decay.contiguous(), values.contiguous()
    return scan_into(torch.empty_like(values), decay, values)


def scan_into(states: Tensor, decay: Tensor, values: Tensor, reverse: bool = False) -> Tensor:
    """Write the states into `states` and return it; in reverse, `h_t = decay_t h_{t+1} + values_t`."""
    from star_search.liv.kernels.triton_scan import forward_kernel

    grid, tile = _launch(values)
    forward_kernel[grid](decay, values, states, *_sizes(decay, values), REVERSE=reverse, **tile)
    return states


@scan.register_fake
def _(decay: Tensor, values: Tensor) -> Tensor:
    return torch.empty_like(values, memory_format=torch.contiguous_format)


@torch.library.custom_op("star_search::scan_backward", mutates_args=())
def scan_backward(decay: Tensor, states: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of decay, feature by feature, and of values."""
    from star_search.liv.kernels.triton_scan import backward_kernel

    decay, gradient = decay.contiguous(), gradient.contiguous()
    to_decay, to_values = torch.empty_like(states), torch.empty_like(states)
    grid, tile = _launch(states)
    backward_kernel[grid](decay, states, gradient, to_decay, to_values, *_sizes(decay, states), **tile)
    return to_decay, to_values


@scan_backward.register_fake
def _(decay: Tensor, states: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    return torch.empty_like(states), torch.empty_like(states)


def _keep(ctx: torch.autograd.function.FunctionCtx, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(inputs[0], output)


def _backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> tuple[Tensor, Tensor]:
    decay, states = ctx.saved_tensors  # type: ignore[attr-defined]
    to_decay, to_values = scan_backward(decay, states, gradient)
    broadcast = [dim for dim, size in enumerate(decay.shape) if size != states.shape[dim]]
    summed = to_decay.sum(broadcast, keepdim=True, dtype=decay.dtype) if broadcast else to_decay.to(decay.dtype)
    return summed, to_values


scan.register_autograd(_backward, setup_context=_keep)
