"""Banded softmax attention on a GPU: the flash kernel that comes with torch, told its window.

Shapes: B batch, T tokens, H heads, K key and value heads, P channels of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor


def has_windows(q_BHTP: Tensor, v_BKTP: Tensor) -> bool:
    """Whether `windowed_attention` serves these: half precision on a GPU, heads in eights of channels, queries no wider than values."""
    widths_fit = q_BHTP.shape[-1] <= v_BKTP.shape[-1] and v_BKTP.shape[-1] % 8 == 0
    return widths_fit and q_BHTP.is_cuda and q_BHTP.dtype == v_BKTP.dtype and q_BHTP.dtype in (torch.bfloat16, torch.float16)


def windowed_attention(q_BHTP: Tensor, k_BKTP: Tensor, scale: float | None, v_BKTP: Tensor, window: int) -> Tensor:
    """Return causal attention [B, H, T, P] in which a token sees the last `window` tokens, itself included.

    `scale` is that of the products of q and k, 1 / sqrt(P) where it is not given.
    """
    length = q_BHTP.shape[2]
    q, k, v = (x.transpose(1, 2) for x in (q_BHTP, k_BKTP, v_BKTP))
    out_BTHP = torch.ops.aten._flash_attention_forward(
        q, k, v, None, None, length, length, 0.0, True, False, scale=scale, window_size_left=window - 1, window_size_right=0
    )[0]
    return out_BTHP.transpose(1, 2)
