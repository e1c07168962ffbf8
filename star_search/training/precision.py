"""The precision that products are made in."""

from __future__ import annotations

import torch


def autocast(device: torch.device | str, precision: str) -> torch.autocast:
    """Return the context in which products are made in `bfloat16` or `float32` on a device, weights being fp32."""
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bfloat16")
