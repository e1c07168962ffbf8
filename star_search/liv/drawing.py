"""Normal weights: large tensors in pieces, each from a generator of its own, so that all cores draw and none decides what is drawn."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import count, repeat

import torch
from torch import Tensor

# Numbers of a tensor that is drawn in pieces, and of a piece. What a seed draws depends on both.
LARGE, PIECE = 2**19, 2**16
MOST_THREADS = 16


def draw_normal(weight: Tensor, std: float, generator: torch.Generator | None) -> Tensor:
    """Fill a tensor with normal numbers of mean 0 in place and return it.

    A tensor of `LARGE` numbers or more takes one number from the generator, the seed of its first piece; the others have those after it.
    """
    with torch.no_grad():
        if generator is None or weight.is_meta or weight.numel() < LARGE:
            return weight.normal_(0, std, generator=generator)
        seed = int(torch.randint(2**31, (), generator=generator))
        # Filling a tensor lets other threads run.
        for _ in _threads().map(_draw, weight.view(-1).split(PIECE), count(seed), repeat(std)):
            pass
        return weight


@torch.no_grad()
def _draw(piece: Tensor, seed: int, std: float) -> None:
    piece.normal_(0, std, generator=torch.Generator().manual_seed(seed))


@cache
def _threads() -> ThreadPoolExecutor:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return ThreadPoolExecutor(min(MOST_THREADS, cores), "draw")
