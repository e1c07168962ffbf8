"""GPU forms of token mixing, beside their CPU path and reference; Triton is imported when one first runs."""

from importlib.util import find_spec

import torch
from torch import Tensor

_HAS_TRITON = find_spec("triton") is not None


def has_kernels(x: Tensor) -> bool:
    """Whether the kernels here serve a tensor: on a GPU with Triton, in fp32 or less, which is what they sum in."""
    return _HAS_TRITON and x.is_cuda and x.dtype in (torch.float32, torch.bfloat16, torch.float16)


def lowered(x: Tensor) -> Tensor:
    """Return a tensor in the precision that autocast asks for, if it does: kernels store in that and sum in fp32."""
    device = x.device.type
    return x.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) and x.dtype == torch.float32 else x
