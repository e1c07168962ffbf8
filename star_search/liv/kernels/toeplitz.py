"""A long causal convolution as operators that compilation sees as one node each; `liv/convolution.py` is its CPU path.

Shapes: B rows, D channels, T tokens.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

TILE, SPAN, COLUMNS, WARPS = 64, 64, 128, 4
LAG_BLOCKS = 64


@torch.library.custom_op("star_search::toeplitz", mutates_args=())
def toeplitz(x_BDT: Tensor, kernel_DT: Tensor) -> Tensor:
    """Return `y_t = sum over lags up to t of kernel_lag x_{t - lag}`, [B, D, T], summed in fp32."""
    return _convolve(x_BDT.contiguous(), kernel_DT.contiguous(), reverse=False)


@toeplitz.register_fake
def _(x_BDT: Tensor, kernel_DT: Tensor) -> Tensor:
    return torch.empty_like(x_BDT, memory_format=torch.contiguous_format)


@torch.library.custom_op("star_search::toeplitz_backward", mutates_args=())
def toeplitz_backward(x_BDT: Tensor, kernel_DT: Tensor, gradient_BDT: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of x and, in fp32, of the kernel."""
    from star_search.liv.kernels.triton_toeplitz import correlate_kernel

    x, gradient = x_BDT.contiguous(), gradient_BDT.contiguous()
    rows, channels, length = x.shape
    to_kernel = torch.empty(channels, length, dtype=torch.float32, device=x.device)
    blocks = min(LAG_BLOCKS, max(16, 1 << (-(-length // TILE) - 1).bit_length()))
    grid = (channels, -(-length // (TILE * blocks)))
    tile = {"L": TILE, "SPAN": SPAN, "BLOCKS": blocks, "PRECISION": _precision(x), "num_warps": WARPS}
    correlate_kernel[grid](x, gradient, to_kernel, rows, channels, length, **tile)
    return _convolve(gradient, kernel_DT.contiguous(), reverse=True), to_kernel


@toeplitz_backward.register_fake
def _(x_BDT: Tensor, kernel_DT: Tensor, gradient_BDT: Tensor) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x_BDT, memory_format=torch.contiguous_format), torch.empty_like(kernel_DT, dtype=torch.float32)


def _convolve(x: Tensor, kernel: Tensor, reverse: bool) -> Tensor:
    from star_search.liv.kernels.triton_toeplitz import convolve_kernel

    rows, channels, length = x.shape
    at_once = min(COLUMNS, 1 << (rows - 1).bit_length())
    blocks = COLUMNS // at_once
    grid = (channels, -(-length // (TILE * blocks)), -(-rows // at_once))
    y = torch.empty_like(x)
    tile = {"L": TILE, "BLOCKS": blocks, "ROWS": at_once, "PRECISION": _precision(x), "num_warps": WARPS}
    convolve_kernel[grid](x, kernel, y, rows, channels, length, REVERSE=reverse, **tile)
    return y


def _precision(x: Tensor) -> str:
    return "ieee" if x.dtype == torch.float32 else "tf32"


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, gradient_BDT: Tensor) -> tuple[Tensor, Tensor]:
    x, kernel = ctx.saved_tensors
    to_x, to_kernel = toeplitz_backward(x, kernel, gradient_BDT)
    return to_x, to_kernel.to(kernel.dtype)


toeplitz.register_autograd(_backward, setup_context=_keep)
