"""Recording what a GPU does as one CUDA graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")


@cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """Return the one stream on which a device's graphs are prepared and recorded: cuBLAS keeps a workspace for every stream ever used."""
    return torch.cuda.Stream(device)


@contextmanager
def graph_stream(device: torch.device) -> Iterator[None]:
    """Work on the stream of a device's graphs, so that cuBLAS keeps no workspace for another; nothing where there are no graphs."""
    if device.type != "cuda":
        yield
        return
    stream, current = _side_stream(device), torch.cuda.current_stream(device)
    stream.wait_stream(current)
    try:
        with torch.cuda.stream(stream):
            yield
    finally:
        current.wait_stream(stream)


def captured(prepare: Callable[[], object], record: Callable[[], object], device: torch.device) -> torch.cuda.CUDAGraph:
    """Return the graph of what `record` does on a GPU, after `prepare` has compiled, loaded and allocated what it needs."""
    stream, graph = _side_stream(device), torch.cuda.CUDAGraph()
    with torch.cuda.device(device):
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            prepare()
        torch.cuda.current_stream().wait_stream(stream)
        # Other threads of the process may wait for their own work meanwhile.
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            record()
    return graph


def replayed(work: Callable[..., Result], prepare: Callable[..., object]) -> Callable[..., Result]:
    """Return what does the same work on tensors on a GPU, recorded at the first call after a call of `prepare`; tensors of other shapes
    than those are given to the work itself.

    What it returns holds until the next call.
    """
    recorded: list[tuple[torch.cuda.CUDAGraph, list[Tensor], Result]] = []

    def replay(*tensors: Tensor) -> Result:
        if not recorded:
            given, found = [tensor.clone() for tensor in tensors], list[Result]()
            graph = captured(lambda: prepare(*given), lambda: found.append(work(*given)), given[0].device)
            recorded.append((graph, given, found[0]))
        graph, given, result = recorded[0]
        if any(tensor.shape != static.shape for tensor, static in zip(tensors, given, strict=True)):
            return work(*tensors)
        for tensor, static in zip(tensors, given, strict=True):
            static.copy_(tensor)
        graph.replay()
        return result

    return replay
