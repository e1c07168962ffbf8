"""A long causal convolution as operators that compilation sees as one node each; `liv/convolution.py` is its CPU path.

Shapes: B rows, D channels, T tokens, M = T + 2 MARGIN lags with their margins, C blocks of L tokens.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

# Zeros before and after a kernel's lags, as many as the largest tile has tokens.
MARGIN = 128
# Columns of an output tile; L tokens of a tile, and blocks whose products the kernel's gradient sums at once.
COLUMNS = 128
CONVOLVE = {"L": 64, "num_warps": 4, "num_stages": 2}
CORRELATE = {"L": 64, "BLOCKS": 32, "num_warps": 4, "num_stages": 3}


def toeplitz(x_BDT: Tensor, kernel_DT: Tensor) -> Tensor:
    """Return `y_t = sum over lags up to t of kernel_lag x_{t - lag}`, [B, D, T], summed in fp32."""
    # Laid out here and not in the operators, so that compiled code does it in the kernels that make x and the lags.
    return _toeplitz(x_BDT.contiguous(), functional.pad(kernel_DT, (MARGIN, MARGIN)), False)


@torch.library.custom_op("star_search::toeplitz", mutates_args=())
def _toeplitz(x_BDT: Tensor, kernel_DM: Tensor, reverse: bool) -> Tensor:
    """Return `toeplitz`, or in reverse the sums of kernel_lag x_{t + lag}."""
    from star_search.liv.kernels.triton_toeplitz import convolve_kernel

    x_BDT, kernel_DM = x_BDT.contiguous(), kernel_DM.contiguous()
    rows, channels, length = x_BDT.shape
    settings = _settings(CONVOLVE, x_BDT)
    tile = settings["L"]
    at_once, blocks = _columns(rows, length, tile)
    grid = (channels, -(-length // (tile * blocks)), -(-rows // at_once))
    y = torch.empty_like(x_BDT)
    shape = {"BLOCKS": blocks, "ROWS": at_once, "MARGIN": MARGIN, "EVEN": length % tile == 0, "PRECISION": _precision(x_BDT)}
    convolve_kernel[grid](x_BDT, kernel_DM, y, rows, channels, length, REVERSE=reverse, **shape, **settings)
    return y


@_toeplitz.register_fake
def _(x_BDT: Tensor, kernel_DM: Tensor, reverse: bool) -> Tensor:
    return torch.empty_like(x_BDT, memory_format=torch.contiguous_format)


@torch.library.custom_op("star_search::toeplitz_to_kernel", mutates_args=())
def _to_kernel(x_BDT: Tensor, gradient_BDT: Tensor) -> Tensor:
    """Return the gradient of the kernel in two parts to be added, [2, D, C L] in fp32."""
    from star_search.liv.kernels.triton_toeplitz import correlate_kernel

    x_BDT, gradient_BDT = x_BDT.contiguous(), gradient_BDT.contiguous()
    rows, channels, length = x_BDT.shape
    settings = _settings(CORRELATE, x_BDT)
    tile = settings["L"]
    blocks = -(-length // tile)
    parts = torch.empty(2, channels, blocks * tile, dtype=torch.float32, device=x_BDT.device)
    shape = {"EVEN": length % tile == 0, "PRECISION": _precision(x_BDT)}
    correlate_kernel[(blocks, channels)](x_BDT, gradient_BDT, parts, rows, channels, length, **shape, **settings)
    return parts


@_to_kernel.register_fake
def _(x_BDT: Tensor, gradient_BDT: Tensor) -> Tensor:
    _, channels, length = x_BDT.shape
    tile = _settings(CORRELATE, x_BDT)["L"]
    return x_BDT.new_empty(2, channels, -(-length // tile) * tile, dtype=torch.float32)


def _settings(settings: dict[str, int], x: Tensor) -> dict[str, int]:
    """Return the settings for x: in fp32, where tensor cores do not serve, those of small tiles."""
    return settings | {"L": 64, "num_warps": 4, "num_stages": 2} if x.dtype == torch.float32 else settings


def _power_of_two(count: int) -> int:
    """Return the smallest power of two that is not less."""
    return 1 << (count - 1).bit_length()


def _columns(rows: int, length: int, tile: int) -> tuple[int, int]:
    """Return (rows, blocks of so many tokens) that one output tile spans: 16 columns at least."""
    at_once = min(COLUMNS, _power_of_two(rows))
    return at_once, max(16 // at_once, 1, min(COLUMNS // at_once, _power_of_two(-(-length // tile))))


def _precision(x: Tensor) -> str:
    return "ieee" if x.dtype == torch.float32 else "tf32"


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor, bool], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:2])


def _backward(ctx: Any, gradient_BDT: Tensor) -> tuple[Tensor, Tensor, None]:
    (x, kernel), gradient = ctx.saved_tensors, gradient_BDT.contiguous()
    to_kernel = _to_kernel(x, gradient).sum(0)[:, : x.shape[2]].to(kernel.dtype)
    return _toeplitz(gradient, kernel, True), functional.pad(to_kernel, (MARGIN, MARGIN)), None


_toeplitz.register_autograd(_backward, setup_context=_keep)
