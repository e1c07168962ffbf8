"""A gate's activation times a value, both columns of one projection, as operators that compilation sees as one node each.

Shapes: B rows, T tokens, E channels of the gate, G of the projection. Its CPU path is `memoryless.Memoryless.mix`. Compiled, the backward
pass would compute one pointwise kernel's halves with masks, at half the speed that memory has.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from star_search.genome.genes import GELU, LINEAR, RELU, SILU

NAMES = {LINEAR: "linear", RELU: "relu", SILU: "silu", GELU: "gelu"}
TILE = {"TOKENS": 2, "CHANNELS": 1024, "num_warps": 4}


@torch.library.custom_op("star_search::gated_product", mutates_args=())
def gated_product(projected_BTG: Tensor, width: int, gate_first: bool, activation: int) -> Tensor:
    """Return act(gate) * value [B, T, E]; gate and value are the first 2 E columns of a projection, in either order."""
    from star_search.liv.kernels.triton_gated import product_kernel

    projected = projected_BTG.contiguous()
    product = projected.new_empty(*projected.shape[:2], width)
    product_kernel[_grid(projected, width)](projected, product, *_sizes(projected, width, gate_first), NAMES[activation], **TILE)
    return product


@gated_product.register_fake
def _(projected_BTG: Tensor, width: int, gate_first: bool, activation: int) -> Tensor:
    return projected_BTG.new_empty(*projected_BTG.shape[:2], width)


@torch.library.custom_op("star_search::gated_product_backward", mutates_args=())
def gated_product_backward(projected_BTG: Tensor, gradient_BTE: Tensor, gate_first: bool, activation: int) -> Tensor:
    """Return the gradient of the projection, [B, T, G]."""
    from star_search.liv.kernels.triton_gated import gradient_kernel

    projected, gradient, width = projected_BTG.contiguous(), gradient_BTE.contiguous(), gradient_BTE.shape[-1]
    result = (torch.empty_like if projected.shape[-1] == 2 * width else torch.zeros_like)(projected)
    sizes = _sizes(projected, width, gate_first)
    gradient_kernel[_grid(projected, width)](projected, gradient, result, *sizes, NAMES[activation], **TILE)
    return result


@gated_product_backward.register_fake
def _(projected_BTG: Tensor, gradient_BTE: Tensor, gate_first: bool, activation: int) -> Tensor:
    return torch.empty_like(projected_BTG, memory_format=torch.contiguous_format)


def _grid(projected: Tensor, width: int) -> tuple[int, int]:
    tokens = projected.shape[0] * projected.shape[1]
    return -(-tokens // TILE["TOKENS"]), -(-width // TILE["CHANNELS"])


def _sizes(projected: Tensor, width: int, gate_first: bool) -> tuple[int, ...]:
    """Return (tokens, E, G, the gate's first column, the value's)."""
    gate, value = (0, width) if gate_first else (width, 0)
    return projected.shape[0] * projected.shape[1], width, projected.shape[2], gate, value


def _keep(ctx: Any, inputs: tuple[Tensor, int, bool, int], output: Tensor) -> None:
    ctx.gate_first, ctx.activation = inputs[2:]
    ctx.save_for_backward(inputs[0])


def _backward(ctx: Any, gradient_BTE: Tensor) -> tuple[Tensor, None, None, None]:
    return gated_product_backward(ctx.saved_tensors[0], gradient_BTE, ctx.gate_first, ctx.activation), None, None, None


gated_product.register_autograd(_backward, setup_context=_keep)
