"""Time kernels of liv/kernels on one GPU under other settings than they have, forward and backward, as a graph.

    python scripts/tune_kernels.py --kernels modal_scan,convolve

Prints the five fastest settings of each and those that it has; settings that do not fit the GPU are left out. Nothing is changed: put the
best where they stand.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from measure_token_mixing import Run, recorded
from torch import Tensor

from star_search.benchmark.models import peak_flops
from star_search.liv.kernels import head_scan, modal_scan, toeplitz

ROWS, LENGTH, WIDTH, HEADS = 8, 4096, 768, 12
REPEAT_MS, SHOWN = 100, 5


@dataclass(frozen=True)
class Case:
    """One use of a kernel: its module, what is tried for some of the module's constants, and what makes its inputs and runs it."""

    module: ModuleType
    tried: dict[str, Sequence[Any]]
    make: Callable[[], tuple[Run, list[Tensor]]]


def leaf(*shape: int, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    """Return random input that gets a gradient."""
    return torch.randn(*shape, device="cuda", dtype=dtype).requires_grad_()


def modal(state: int) -> tuple[Run, list[Tensor]]:
    """Return a recurrence of so many states a channel (S4-2)."""
    decay = leaf(ROWS, LENGTH, state, WIDTH, dtype=torch.float32)
    B, C = (leaf(state, WIDTH, dtype=torch.float32) for _ in "BC")
    inputs = [decay, B, C, leaf(ROWS, LENGTH, WIDTH)]
    return lambda: modal_scan.modal_scan(-decay.abs(), *inputs[1:])[0], inputs


def by_heads(state: int, width: int) -> tuple[Run, list[Tensor]]:
    """Return a head recurrence (Rec-1 with 16 states, linear attention with as many as keys have channels)."""
    decay = torch.zeros(ROWS, LENGTH, HEADS, device="cuda")
    inputs = [leaf(ROWS, LENGTH, HEADS, size) for size in (state, state, width)]
    return lambda: head_scan.head_scan(decay, *inputs)[0], inputs


def convolution(rows: int) -> tuple[Run, list[Tensor]]:
    """Return a long convolution of so many rows (twice as many in GConv-2-Diff)."""
    inputs = [leaf(rows, WIDTH, LENGTH), leaf(WIDTH, LENGTH)]
    return lambda: toeplitz.toeplitz(*inputs), inputs


def combinations(tried: dict[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return every combination of settings."""
    return [dict(zip(tried, values, strict=True)) for values in itertools.product(*tried.values())]


HEAD_SETTINGS = {"CHUNK": (32, 64, 128), "WARPS": (2, 4, 8)}
CONVOLVE = {"COLUMNS": (64, 128, 256), "CONVOLVE": combinations({"L": (64, 128), "num_warps": (4, 8), "num_stages": (2, 3)})}
CORRELATE = {"CORRELATE": combinations({"L": (64, 128), "BLOCKS": (16, 32, 64), "num_warps": (4, 8), "num_stages": (2, 3)})}
CASES = {
    "modal_scan": Case(modal_scan, {"CHUNK": (8, 16, 32), "STATES": (32, 64, 128), "WARPS": (1, 2)}, lambda: modal(4)),
    "head_scan_16": Case(head_scan, HEAD_SETTINGS, lambda: by_heads(16, 64)),
    "head_scan_32": Case(head_scan, HEAD_SETTINGS, lambda: by_heads(32, 64)),
    "head_scan_64": Case(head_scan, HEAD_SETTINGS, lambda: by_heads(64, 64)),
    "convolve": Case(toeplitz, CONVOLVE, lambda: convolution(ROWS)),
    "convolve_pairs": Case(toeplitz, CONVOLVE, lambda: convolution(2 * ROWS)),
    "correlate": Case(toeplitz, CORRELATE, lambda: convolution(ROWS)),
    "correlate_pairs": Case(toeplitz, CORRELATE, lambda: convolution(2 * ROWS)),
}


@contextmanager
def constants(module: ModuleType, values: dict[str, Any]) -> Iterator[None]:
    """Give a module's constants other values for a while."""
    kept = {name: getattr(module, name) for name in values}
    try:
        for name, value in values.items():
            setattr(module, name, value)
        yield
    finally:
        for name, value in kept.items():
            setattr(module, name, value)


def milliseconds(case: Case) -> float:
    """Return the median time of forward and backward."""
    from triton.testing import do_bench

    run, leaves = case.make()
    gradient = torch.randn_like(run())

    def both() -> None:
        torch.autograd.grad(run(), leaves, gradient)

    return float(do_bench(recorded(both), warmup=20, rep=REPEAT_MS, return_mode="median"))


def main() -> None:
    """Print a table a kernel."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernels", default=",".join(CASES), help=f"of {', '.join(CASES)}, joined by commas")
    parser.add_argument("--seconds", type=float, default=120, help="for each")
    options = parser.parse_args()
    asked = options.kernels.split(",")
    if unknown := [name for name in asked if name not in CASES]:
        parser.error(f"unknown kernel {unknown[0]!r}; allowed: {', '.join(CASES)}")
    from triton.runtime.errors import OutOfResources

    peak_flops("cuda", "bfloat16")  # Clocks go up.
    for name in asked:
        case, start, found = CASES[name], time.monotonic(), list[tuple[float, dict[str, Any]]]()
        now = {each: getattr(case.module, each) for each in case.tried}
        others = [each for each in combinations(case.tried) if each != now]
        for values in [now, *others]:
            if time.monotonic() - start > options.seconds:
                print(f"{name:>16}: the time was over after {len(found)} of {1 + len(others)} settings")
                break
            try:
                with constants(case.module, values):
                    found.append((milliseconds(case), values))
            except OutOfResources:
                continue
        for place, (ms, values) in enumerate(sorted(found, key=lambda each: each[0])):
            if place < SHOWN or values == now:
                print(f"{name:>16} {ms:8.3f} ms  {values}{'  now' if values == now else ''}", flush=True)


if __name__ == "__main__":
    main()
