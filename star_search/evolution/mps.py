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
        said = Path(self._folder.name, "said")
        # Into a file: the daemon keeps what it is given, and a pipe would never end.
        with said.open("w") as file:
            started = subprocess.run([CONTROL, "-d"], env={**os.environ, **self._places}, check=False, stdout=file, stderr=file)
        if started.returncode:
            message = " ".join(said.read_text().split()) or f"exit code {started.returncode}"
            self._folder.cleanup()
            raise StarSearchError(f"{CONTROL} did not start: {message}")

    def _ask(self, order: str) -> str:
        """Return what the daemon answers."""
        environment = {**os.environ, **self._places}
        return subprocess.run([CONTROL], input=f"{order}\n", env=environment, check=False, capture_output=True, text=True).stdout

    @property
    def environment(self) -> dict[str, str | None]:
        """What makes a process a client."""
        return {**self._places, VISIBLE: None}

    def close(self) -> list[str]:
        """End the daemon, whose clients have ended, and return the ids of the servers it had: none where no client came."""
        servers = self._ask("get_server_list").split()
        self._ask("quit -t 5")
        self._folder.cleanup()
        return servers
