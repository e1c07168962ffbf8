"""A long causal convolution as operators that compilation sees as one node each; `liv/convolution.py` is its CPU path.

Shapes: B rows, D channels, T tokens.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

# L tokens of a tile; columns of an output tile; blocks of tokens that the kernel's gradient sums at once.
TILE, COLUMNS, BLOCKS = 64, 128, 16
WARPS = 4


@torch.library.custom_op("star_search::toeplitz", mutates_args=())
def toeplitz(x_BDT: Tensor, kernel_DT: Tensor) -> Tensor:
    """Return `y_t = sum over lags up to t of kernel_lag x_{t - lag}`, [B, D, T], summed in fp32."""
    return _convolve(_padded(x_BDT), kernel_DT, x_BDT.shape, reverse=False)


@toeplitz.register_fake
def _(x_BDT: Tensor, kernel_DT: Tensor) -> Tensor:
    return torch.empty_like(x_BDT, memory_format=torch.contiguous_format)


@torch.library.custom_op("star_search::toeplitz_backward", mutates_args=())
def toeplitz_backward(x_BDT: Tensor, kernel_DT: Tensor, gradient_BDT: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of x and, in fp32, of the kernel."""
    from star_search.liv.kernels.triton_toeplitz import correlate_kernel

    x, gradient = _padded(x_BDT), _padded(gradient_BDT)
    rows, channels, length = x_BDT.shape
    blocks = -(-length // TILE)
    halves = torch.empty(2, channels, blocks * TILE, dtype=torch.float32, device=x.device)
    tile = {"L": TILE, "BLOCKS": BLOCKS, "PRECISION": _precision(x), "num_warps": WARPS, "num_stages": 2}
    correlate_kernel[(blocks, channels)](x, gradient, halves, rows, channels, blocks, _before(x_BDT.shape), x.shape[-1], **tile)
    return _convolve(gradient, kernel_DT, x_BDT.shape, reverse=True), halves.sum(0)[:, :length].contiguous()


@toeplitz_backward.register_fake
def _(x_BDT: Tensor, kernel_DT: Tensor, gradient_BDT: Tensor) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x_BDT, memory_format=torch.contiguous_format), kernel_DT.new_empty(kernel_DT.shape, dtype=torch.float32)


def _convolve(x: Tensor, kernel_DT: Tensor, shape: torch.Size, reverse: bool) -> Tensor:
    from star_search.liv.kernels.triton_toeplitz import convolve_kernel

    rows, channels, length = shape
    at_once, blocks = _columns(rows, length)
    grid = (channels, -(-length // (TILE * blocks)), -(-rows // at_once))
    y = torch.empty(shape, dtype=x.dtype, device=x.device)
    tile = {"L": TILE, "BLOCKS": blocks, "ROWS": at_once, "PRECISION": _precision(x), "num_warps": WARPS}
    kernel = functional.pad(kernel_DT, (TILE, TILE))
    convolve_kernel[grid](x, kernel, y, rows, channels, length, _before(shape), x.shape[-1], REVERSE=reverse, **tile)
    return y


def _power_of_two(count: int) -> int:
    """Return the smallest power of two that is not less."""
    return 1 << (count - 1).bit_length()


def _columns(rows: int, length: int) -> tuple[int, int]:
    """Return (rows, blocks of L tokens) that one output tile spans: 16 columns at least."""
    at_once = min(COLUMNS, _power_of_two(rows))
    return at_once, max(16 // at_once, 1, min(COLUMNS // at_once, _power_of_two(-(-length // TILE))))


def _before(shape: torch.Size) -> int:
    """Return the zeros before a row: as far as any tile reaches back."""
    return _columns(shape[0], shape[2])[1] * TILE


def _padded(x_BDT: Tensor) -> Tensor:
    """Return rows with zeros before and after, as far as any tile reaches, each a multiple of 16 elements long."""
    rows, _, length = x_BDT.shape
    after = (_columns(rows, length)[1] + 1) * TILE
    return functional.pad(x_BDT, (_before(x_BDT.shape), after + -length % 16))


def _precision(x: Tensor) -> str:
    return "ieee" if x.dtype == torch.float32 else "tf32"


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, gradient_BDT: Tensor) -> tuple[Tensor, Tensor]:
    x, kernel = ctx.saved_tensors
    to_x, to_kernel = toeplitz_backward(x, kernel, gradient_BDT)
    return to_x, to_kernel.to(kernel.dtype)


toeplitz.register_autograd(_backward, setup_context=_keep)
