"""NVIDIA's Multi-Process Service: processes that share a GPU run on it at once, where they would take turns."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from star_search.errors import StarSearchError

CONTROL = "nvidia-cuda-mps-control"
PIPE, LOG, VISIBLE = "CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY", "CUDA_VISIBLE_DEVICES"


def is_installed() -> bool:
    """Return whether there is a daemon to start."""
    return shutil.which(CONTROL) is not None


class Service:
    """A daemon of our own, for the processes that are started with `environment`. It changes no setting of the card.

    The daemon numbers the GPUs that CUDA_VISIBLE_DEVICES leaves it from zero, and its clients by these numbers: they go without.

    Raises:
        StarSearchError: when it does not start.
    """

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="star-search-mps-", ignore_cleanup_errors=True)
        self._places = {name: str(Path(self._folder.name, name)) for name in (PIPE, LOG)}
        for place in self._places.values():
            Path(place).mkdir()
        if message := self._control("-d")[1]:
            self._folder.cleanup()
            raise StarSearchError(f"{CONTROL} did not start: {message}")

    def _control(self, *arguments: str, orders: str = "") -> tuple[str, str]:
        """Return what the daemon's control says, and what is wrong."""
        environment = {**os.environ, **self._places}
        ended = subprocess.run([CONTROL, *arguments], input=orders, env=environment, check=False, capture_output=True, text=True)
        wrong = " ".join(f"{ended.stderr} {ended.stdout}".split()) or f"exit code {ended.returncode}"
        return ended.stdout, wrong if ended.returncode else ""

    @property
    def environment(self) -> dict[str, str | None]:
        """What makes a process a client."""
        return {**self._places, VISIBLE: None}

    def close(self) -> list[str]:
        """End the daemon, whose clients have ended, and return the ids of the servers it had: none where no client came."""
        servers, _ = self._control(orders="get_server_list\n")
        self._control(orders="quit -t 5\n")
        self._folder.cleanup()
        return servers.split()
