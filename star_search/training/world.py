"""The processes that train one model together, as torchrun starts them: who is who, on which device, and what they agree on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import torch
from torch import Tensor
from torch import distributed as dist

from star_search.errors import InputError
from star_search.processes import end_with

Parallel = Literal["ddp", "fsdp"]
# The first process evaluates and exports alone while the others wait.
PATIENCE = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class World:
    """One process among `size` that hold the model whole (ddp) or in parts (fsdp), each on a device of its own."""

    device: torch.device
    rank: int = 0
    size: int = 1
    parallel: Parallel = "ddp"

    @property
    def is_first(self) -> bool:
        """Whether this process speaks and writes for all."""
        return self.rank == 0

    @property
    def is_alone(self) -> bool:
        """Whether there is no other process."""
        return self.size == 1

    def share(self, rows: int) -> slice:
        """Return which of a step's rows this process trains.

        Raises:
            InputError: when they do not divide evenly.
        """
        if rows % self.size:
            raise InputError(f"a step of {rows} sequences cannot be divided among {self.size} processes; change training.batch_tokens")
        each = rows // self.size
        return slice(self.rank * each, (self.rank + 1) * each)

    def mean(self, value: Tensor) -> Tensor:
        """Return the mean of a tensor over all processes."""
        if not self.is_alone:
            dist.all_reduce(value)
            value = value / self.size
        return value

    def as_first(self, value: bool) -> bool:
        """Return what the first process was given: all decide alike."""
        if self.is_alone:
            return value
        said = torch.tensor(value, device=self.device)
        dist.broadcast(said, 0)
        return bool(said)

    def wait(self) -> None:
        """Wait until every process is here."""
        if not self.is_alone:
            dist.barrier()


def taken(device: str) -> torch.device:
    """Return a device by name, a GPU once it is this process's current one: graphs and events go there."""
    found = torch.device(device)
    if found.type == "cuda":
        torch.cuda.set_device(found if found.index is not None else 0)
    return found


def launched_processes() -> int:
    """Return how many processes torchrun started for this work, 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def joined(device: str, parallel: Parallel = "ddp") -> Iterator[World]:
    """Join the processes that torchrun started: `device` is `cpu` or `cuda`, of which each process takes one; alone, any device.

    Raises:
        InputError: when there are more processes than GPUs.
    """
    size = launched_processes()
    if size == 1:
        yield World(taken(device), parallel=parallel)
        return
    end_with(os.getppid())
    local, on_gpu = int(os.environ["LOCAL_RANK"]), not device.startswith("cpu")
    if on_gpu and local >= torch.cuda.device_count():
        raise InputError(f"{os.environ.get('LOCAL_WORLD_SIZE', size)} processes need a GPU each, and there are {torch.cuda.device_count()}")
    place = torch.device("cuda", local) if on_gpu else torch.device("cpu")
    taken(str(place))
    dist.init_process_group("nccl" if on_gpu else "gloo", timeout=PATIENCE, device_id=place if on_gpu else None)
    try:
        yield World(place, dist.get_rank(), dist.get_world_size(), parallel)
    finally:
        # What was compiled for weights in parts holds on to their group, and a process would never end.
        if parallel == "fsdp":
            torch._dynamo.reset()
        dist.destroy_process_group()
