"""The head recurrence as operators that compilation sees as one node each; `liv/recurrence.py` is its CPU path.

Shapes: B rows, T tokens, H heads, N state size, P channels of a head, C chunks.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from star_search.liv.kernels import has_kernels

CHUNK, WARPS = 64, 4
# Larger tiles were never tried.
LARGEST_STATE, LARGEST_HEAD = 64, 64


def has_head_scan(v: Tensor, state: int, width: int) -> bool:
    """Whether `head_scan` serves heads of so many states and channels: a program holds all of a head's."""
    return has_kernels(v) and state <= LARGEST_STATE and width <= LARGEST_HEAD


@torch.library.custom_op("star_search::head_scan", mutates_args=())
def head_scan(log_decay_BTH: Tensor, B_BTHN: Tensor, C_BTHN: Tensor, u_BTHP: Tensor) -> tuple[Tensor, Tensor]:
    """Return `y_t = C_t S_t` [B, T, H, P] of `S_t = exp(log_decay_t) S_{t-1} + B_t u_t^T`, and the states after every chunk in fp32."""
    from star_search.liv.kernels.triton_head_scan import output_kernel

    log_decay, B, C, u = (each.contiguous() for each in (log_decay_BTH, B_BTHN, C_BTHN, u_BTHP))
    states = _carried(log_decay, B, u, forward=True)
    y = torch.empty_like(u)
    output_kernel[_grid(u)](log_decay, B, C, u, states, y, *_sizes(B, u), **_constants(B, u))
    return y, states


@head_scan.register_fake
def _(log_decay_BTH: Tensor, B_BTHN: Tensor, C_BTHN: Tensor, u_BTHP: Tensor) -> tuple[Tensor, Tensor]:
    rows, length, heads, width = u_BTHP.shape
    states = u_BTHP.new_empty(rows, -(-length // CHUNK), heads, B_BTHN.shape[-1], width, dtype=torch.float32)
    return torch.empty_like(u_BTHP, memory_format=torch.contiguous_format), states


@torch.library.custom_op("star_search::head_scan_backward", mutates_args=())
def head_scan_backward(
    log_decay_BTH: Tensor, B_BTHN: Tensor, C_BTHN: Tensor, u_BTHP: Tensor, states: Tensor, dy_BTHP: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of log decay, B, C and u."""
    from star_search.liv.kernels.triton_head_scan import gradient_kernel

    log_decay, B, C, u, dy = (each.contiguous() for each in (log_decay_BTH, B_BTHN, C_BTHN, u_BTHP, dy_BTHP))
    adjoints = _carried(log_decay, C, dy, forward=False)
    gradients = torch.empty_like(log_decay), torch.empty_like(B), torch.empty_like(C), torch.empty_like(u)
    gradient_kernel[_grid(u)](log_decay, B, C, u, states, dy, adjoints, *gradients, *_sizes(B, u), **_constants(B, u))
    return gradients


@head_scan_backward.register_fake
def _(
    log_decay_BTH: Tensor, B_BTHN: Tensor, C_BTHN: Tensor, u_BTHP: Tensor, states: Tensor, dy_BTHP: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    plain = torch.contiguous_format
    to_decay, to_B = torch.empty_like(log_decay_BTH, memory_format=plain), torch.empty_like(B_BTHN, memory_format=plain)
    return to_decay, to_B, torch.empty_like(C_BTHN, memory_format=plain), torch.empty_like(u_BTHP, memory_format=plain)


def _carried(log_decay: Tensor, B: Tensor, u: Tensor, forward: bool) -> Tensor:
    """Return the states after every chunk, or, backward, the gradients of the states before every chunk."""
    from star_search.liv.kernels.scan import scan_into
    from star_search.liv.kernels.triton_head_scan import state_kernel

    rows, length, heads, width = u.shape
    chunks = -(-length // CHUNK)
    added = torch.empty(rows, chunks, heads, B.shape[-1], width, dtype=torch.float32, device=u.device)
    decays = torch.empty(rows, chunks, heads, 1, 1, dtype=torch.float32, device=u.device)
    state_kernel[_grid(u)](log_decay, B, u, added, decays, *_sizes(B, u), FORWARD=forward, **_constants(B, u))
    return scan_into(torch.empty_like(added), decays, added, reverse=not forward)


def _grid(u: Tensor) -> tuple[int, int]:
    return -(-u.shape[1] // CHUNK), u.shape[0] * u.shape[2]


def _sizes(B: Tensor, u: Tensor) -> tuple[int, ...]:
    return u.shape[1], u.shape[2], -(-u.shape[1] // CHUNK), B.shape[3], u.shape[3]


def _constants(B: Tensor, u: Tensor) -> dict[str, Any]:
    rounded = [max(16, 1 << (size - 1).bit_length()) for size in (B.shape[3], u.shape[3])]
    precision = "ieee" if u.dtype == torch.float32 else "tf32"
    return {"L": CHUNK, "NB": rounded[0], "PB": rounded[1], "PRECISION": precision, "num_warps": WARPS}


def _keep(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs, output[1])
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, dy: Tensor, to_states: Tensor | None) -> tuple[Tensor, ...]:
    *inputs, states = ctx.saved_tensors
    return head_scan_backward(*inputs, states, dy)


head_scan.register_autograd(_backward, setup_context=_keep)
