"""Trainings whose bits are the same every time, at some cost in speed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch

# Without workspaces of its own, cuBLAS may add in another order on another stream.
WORKSPACES = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@contextmanager
def deterministic(asked: bool) -> Iterator[None]:
    """Have torch add in one order meanwhile, where that is asked for: in attention's gradient above all, and in what it compiles.

    An operation that has no such form raises RuntimeError.
    """
    if not asked:
        yield
        return
    from torch._inductor import config as inductor

    memory = cast(Any, torch.utils.deterministic)
    before, fills = torch.are_deterministic_algorithms_enabled(), memory.fill_uninitialized_memory
    os.environ.setdefault(*WORKSPACES)
    torch.use_deterministic_algorithms(True)
    memory.fill_uninitialized_memory = False  # Nothing here reads what it has not written.
    try:
        with inductor.patch(deterministic=True):
            yield
    finally:
        torch.use_deterministic_algorithms(before)
        memory.fill_uninitialized_memory = fills
