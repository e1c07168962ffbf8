"""The parallel scan behind every recurrence: `h_t = a_t h_{t-1} + b_t` along the second dimension; on a GPU by a kernel.

Shapes: B batch, T tokens, then any trailing dimensions, of which those of `a` may be 1.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from star_search.liv.kernels import has_kernels, lowered
from star_search.liv.kernels.scan import scan

CHUNK = 16


def linear_scan(decay: Tensor, values: Tensor) -> Tensor:
    """Return all states of `h_t = decay_t * h_{t-1} + values_t`, h_{-1} = 0, in time linear in T.

    Only decay and states are kept for the backward pass, which is the same scan in reverse (Martin & Cundy 2018, section 2.2).
    Under autocast on a GPU, values and states are held in the lower precision and summed in fp32.
    """
    if has_kernels(values):
        return scan(decay, lowered(values))
    return _LinearScan.apply(decay, values)  # type: ignore[no-untyped-call]


class _LinearScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, decay: Tensor, values: Tensor) -> Tensor:
        states = scan_values(decay, values)
        ctx.save_for_backward(decay, states)
        return states

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        decay, states = ctx.saved_tensors
        # From the last token back, each gradient flows to the state before it through the decay of the token after.
        later = torch.cat((torch.zeros_like(decay[:, :1]), decay[:, 1:].flip(1)), dim=1)
        to_values = scan_values(later, gradients[0].flip(1)).flip(1)
        before = torch.cat((torch.zeros_like(states[:, :1]), states[:, :-1]), dim=1)
        broadcast = [dim for dim, size in enumerate(decay.shape) if size != states.shape[dim]]
        to_decay = to_values * before
        return to_decay.sum(broadcast, keepdim=True) if broadcast else to_decay, to_values


def scan_values(decay: Tensor, values: Tensor) -> Tensor:
    """Return the states without recording gradients: doubling within chunks, the same scan over the chunks' last states."""
    length = values.shape[1]
    if length <= CHUNK:
        return _doubling(decay, values, dim=1)[1]
    padding = -length % CHUNK
    chunked_decay = _pad(decay, padding, 1.0).unflatten(1, (-1, CHUNK))
    product, states = _doubling(chunked_decay, _pad(values, padding, 0.0).unflatten(1, (-1, CHUNK)), dim=2)
    carry = scan_values(product[:, :, -1], states[:, :, -1])
    before = torch.cat((torch.zeros_like(carry[:, :1]), carry[:, :-1]), dim=1)
    return torch.addcmul(states, product, before.unsqueeze(2)).flatten(1, 2)[:, :length]


def _doubling(decay: Tensor, values: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Return cumulative decays and states along `dim` (Hillis & Steele 1986)."""
    length, offset = values.shape[dim], 1
    while offset < length:
        now_decay, now_values = decay.narrow(dim, offset, length - offset), values.narrow(dim, offset, length - offset)
        combined = torch.addcmul(now_values, now_decay, values.narrow(dim, 0, length - offset))
        product = now_decay * decay.narrow(dim, 0, length - offset)
        values = torch.cat((values.narrow(dim, 0, offset), combined), dim)
        decay = torch.cat((decay.narrow(dim, 0, offset), product), dim)
        offset *= 2
    return decay, values


def _pad(x: Tensor, padding: int, value: float) -> Tensor:
    if not padding:
        return x
    return torch.cat((x, x.new_full((x.shape[0], padding, *x.shape[2:]), value)), dim=1)
