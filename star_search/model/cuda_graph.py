"""Recording what a GPU does as one CUDA graph."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch


@cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """Return the one stream on which a device's graphs are prepared and recorded: cuBLAS keeps a workspace for every stream ever used."""
    return torch.cuda.Stream(device)


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
