"""A recurrence of several states a channel, and its readout, as operators that compilation sees as one node each; `liv/recurrence.py` is
its CPU path.

Shapes: B rows, T tokens, N states, D channels, C chunks of time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from star_search.liv.kernels import has_kernels

# Tokens of a chunk, and states of a program, few enough that a thread holds all tokens of its own.
CHUNK, STATES, WARPS = 16, 64, 1
LARGEST_STATE = 16


def has_modal_scan(v: Tensor, state: int) -> bool:
    """Whether `modal_scan` serves channels of so many states: a program holds all of a channel's."""
    return has_kernels(v) and state <= LARGEST_STATE


@torch.library.custom_op("star_search::modal_scan", mutates_args=())
def modal_scan(log_decay_BTND: Tensor, B_ND: Tensor, C_ND: Tensor, v_BTD: Tensor) -> tuple[Tensor, Tensor]:
    """Return `y_t = sum_n C_n h_t[n]` of `h_t = a_t h_{t-1} + (1 - a_t) B v_t`, `a_t = exp(log_decay_t)`, and the states after every
    chunk in fp32, of which no more are held."""
    from star_search.liv.kernels.triton_modal_scan import output_kernel

    log_decay, B, C, v = (each.contiguous() for each in (log_decay_BTND, B_ND, C_ND, v_BTD))
    states, y = _carried(log_decay, B, v, forward=True), torch.empty_like(v)
    output_kernel[_grid(log_decay)](log_decay, B, C, v, states, y, *_sizes(log_decay), **_constants(log_decay))
    return y, states


@modal_scan.register_fake
def _(log_decay_BTND: Tensor, B_ND: Tensor, C_ND: Tensor, v_BTD: Tensor) -> tuple[Tensor, Tensor]:
    return torch.empty_like(v_BTD, memory_format=torch.contiguous_format), _by_chunk(log_decay_BTND)


@torch.library.custom_op("star_search::modal_scan_backward", mutates_args=())
def modal_scan_backward(
    log_decay_BTND: Tensor, B_ND: Tensor, C_ND: Tensor, v_BTD: Tensor, states_BCND: Tensor, dy_BTD: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of log decay, of B and C by every chunk [B, C, N, D], and of v."""
    from star_search.liv.kernels.triton_modal_scan import gradient_kernel

    log_decay, B, C, v, dy = (each.contiguous() for each in (log_decay_BTND, B_ND, C_ND, v_BTD, dy_BTD))
    adjoints = _carried(log_decay, C, dy, forward=False)
    gradients = torch.empty_like(log_decay), _by_chunk(log_decay), _by_chunk(log_decay), torch.empty_like(v)
    given = log_decay, B, C, v, states_BCND, dy, adjoints
    gradient_kernel[_grid(log_decay)](*given, *gradients, *_sizes(log_decay), **_constants(log_decay))
    return gradients


@modal_scan_backward.register_fake
def _(
    log_decay_BTND: Tensor, B_ND: Tensor, C_ND: Tensor, v_BTD: Tensor, states_BCND: Tensor, dy_BTD: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    to_decay, to_v = (torch.empty_like(each, memory_format=torch.contiguous_format) for each in (log_decay_BTND, v_BTD))
    return to_decay, _by_chunk(log_decay_BTND), _by_chunk(log_decay_BTND), to_v


def _carried(log_decay: Tensor, weight: Tensor, x: Tensor, forward: bool) -> Tensor:
    """Return the states after every chunk, or, backward, the gradients of the states before every chunk."""
    from star_search.liv.kernels.scan import scan_into
    from star_search.liv.kernels.triton_modal_scan import state_kernel

    added, decays = _by_chunk(log_decay), _by_chunk(log_decay)
    given = log_decay, weight, x, added, decays
    state_kernel[_grid(log_decay)](*given, *_sizes(log_decay), FORWARD=forward, **_constants(log_decay))
    return scan_into(torch.empty_like(added), decays, added, reverse=not forward)


def _by_chunk(log_decay: Tensor) -> Tensor:
    """Return [B, C, N, D] in fp32 without values."""
    rows, length, *sizes = log_decay.shape
    return log_decay.new_empty(rows, -(-length // CHUNK), *sizes, dtype=torch.float32)


def _constants(log_decay: Tensor) -> dict[str, Any]:
    rounded = 1 << (log_decay.shape[2] - 1).bit_length()
    return {"L": CHUNK, "NB": rounded, "CHANNELS": STATES // rounded, "num_warps": WARPS}


def _grid(log_decay: Tensor) -> tuple[int, int, int]:
    rows, length, _, channels = log_decay.shape
    return -(-length // CHUNK), -(-channels // _constants(log_decay)["CHANNELS"]), rows


def _sizes(log_decay: Tensor) -> tuple[int, ...]:
    _, length, state, channels = log_decay.shape
    return length, -(-length // CHUNK), state, channels


def _keep(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs, output[1])
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, dy: Tensor, to_states: Tensor | None) -> tuple[Tensor, ...]:
    *inputs, states = ctx.saved_tensors
    to_decay, to_B, to_C, to_v = modal_scan_backward(*inputs, states, dy)
    return to_decay, to_B.sum((0, 1)), to_C.sum((0, 1)), to_v


modal_scan.register_autograd(_backward, setup_context=_keep)
