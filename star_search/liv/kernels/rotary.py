"""Queries, keys and values taken from one projection and rotated, as operators that compilation sees as one node each.

Shapes: B rows, T tokens, G channels of the projection, W channels that rotate together. Its CPU path is `attention.rotate`.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

TOKENS, PARTS = 32, 3


@torch.library.custom_op("star_search::rotated_parts", mutates_args=())
def rotated_parts(whole_BTG: Tensor, widths: list[int], turned: list[bool], table: Tensor) -> list[Tensor]:
    """Return the parts [B, T, width] of a projection, those of `turned` rotated by a `rotary_table`; at most three, multiples of W wide."""
    parts = [whole_BTG.new_empty(*whole_BTG.shape[:2], width) for width in widths]
    _launch(whole_BTG.contiguous(), parts, turned, table, back=False)
    return parts


@rotated_parts.register_fake
def _(whole_BTG: Tensor, widths: list[int], turned: list[bool], table: Tensor) -> list[Tensor]:
    return [whole_BTG.new_empty(*whole_BTG.shape[:2], width) for width in widths]


@torch.library.custom_op("star_search::rotated_parts_backward", mutates_args=())
def rotated_parts_backward(parts: list[Tensor], total: int, turned: list[bool], table: Tensor) -> Tensor:
    """Return the gradient of the projection, [B, T, total], from those of its parts."""
    covered = sum(part.shape[-1] for part in parts)
    whole = (parts[0].new_empty if covered == total else parts[0].new_zeros)(*parts[0].shape[:2], total)
    _launch(whole, [part.contiguous() for part in parts], turned, table, back=True)
    return whole


@rotated_parts_backward.register_fake
def _(parts: list[Tensor], total: int, turned: list[bool], table: Tensor) -> Tensor:
    return parts[0].new_empty(*parts[0].shape[:2], total)


def _launch(whole: Tensor, parts: list[Tensor], turned: list[bool], table: Tensor, back: bool) -> None:
    from star_search.liv.kernels.triton_rotary import parts_kernel

    length, total = whole.shape[1:]
    tokens, width = whole.shape[0] * length, 2 * table.shape[-1]
    units = [part.shape[-1] // width for part in parts] + [0] * (PARTS - len(parts))
    pointers = parts + parts[:1] * (PARTS - len(parts))
    bits = sum(1 << index for index, turn in enumerate(turned) if turn)
    half = 1 << (width // 2 - 1).bit_length()
    tile = {"TURNED": bits, "BACK": back, "W": width, "HALF": half, "TOKENS": TOKENS, "num_warps": 2}
    grid = (math.ceil(tokens / TOKENS), sum(units))
    parts_kernel[grid](whole, *pointers, table.contiguous(), tokens, length, total, *units, **tile)


def _keep(ctx: Any, inputs: tuple[Tensor, list[int], list[bool], Tensor], output: list[Tensor]) -> None:
    ctx.total, ctx.turned = inputs[0].shape[-1], inputs[2]
    ctx.save_for_backward(inputs[3])


def _backward(ctx: Any, gradients: list[Tensor]) -> tuple[Tensor, None, None, None]:
    return rotated_parts_backward(list(gradients), ctx.total, ctx.turned, ctx.saved_tensors[0]), None, None, None


rotated_parts.register_autograd(_backward, setup_context=_keep)
