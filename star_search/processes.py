"""Child processes that end with their parent, however it ends, leave Ctrl-C to it, and find an environment of their own.

What a process may use, and what it held.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# How long a process may take until it can work: imports, a GPU's context, the text; minutes on a busy machine, never this long.
START_SECONDS = 300.0
_KILL_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def end_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies, even in the middle of native code; on Linux alone."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_KILL_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


@contextlib.contextmanager
def interrupts_ignored() -> Iterator[None]:
    """Have a process that is started inherit that Ctrl-C is not for it; the driver decides what Ctrl-C ends."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Have a process that is started meanwhile find these variables."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def kill(processes: Iterable[BaseProcess]) -> None:
    """Kill all, then wait for their ends."""
    killed = list(processes)
    for process in killed:
        process.kill()
    for process in killed:
        process.join()


def peak_memory_bytes(device: torch.device | str = "cpu") -> int:
    """Return the most memory that this process held on a device: what tensors took on a GPU, else its peak resident set.

    On Linux `getrusage` would count what the process that started it held by then.
    """
    if str(device).startswith("cuda"):
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    status = Path("/proc/self/status")
    if status.exists():
        held = next((line for line in status.read_text().splitlines() if line.startswith("VmHWM:")), None)
        if held is not None:
            return int(held.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
