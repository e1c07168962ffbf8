"""NVIDIA's Multi-Process Service: processes that share a GPU run on it at once, where they would take turns."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from star_search.errors import StarSearchError

CONTROL = "nvidia-cuda-mps-control"
PIPE, LOG, VISIBLE = "CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY", "CUDA_VISIBLE_DEVICES"


def is_installed() -> bool:
    """Return whether there is a daemon to start."""
    return shutil.which(CONTROL) is not None


class Service:
    """A daemon of our own for GPUs given by their UUIDs, and for the processes that are started with `environment`.

    It changes no setting of the card. By UUIDs daemon and clients mean the same GPUs, whatever numbers each gives them.

    Raises:
        StarSearchError: when it does not start.
    """

    def __init__(self, uuids: Sequence[str]) -> None:
        self._folder = TemporaryDirectory(prefix="star-search-mps-", ignore_cleanup_errors=True)
        self.environment = {name: str(Path(self._folder.name, name)) for name in (PIPE, LOG)}
        for place in self.environment.values():
            Path(place).mkdir()
        self.environment[VISIBLE] = ",".join(uuids)
        said = Path(self._folder.name, "said")
        # Into a file: the daemon keeps what it is given, and a pipe would never end.
        with said.open("w") as file:
            started = subprocess.run([CONTROL, "-d"], env={**os.environ, **self.environment}, check=False, stdout=file, stderr=file)
        if started.returncode:
            message = " ".join(said.read_text().split()) or f"exit code {started.returncode}"
            self._folder.cleanup()
            raise StarSearchError(f"{CONTROL} did not start: {message}")

    def release(self, client: int | None) -> None:
        """End the GPU's work for a client that is about to be killed, which others on the GPU would feel."""
        for server in self._servers():
            self._ask(f"terminate_client {server} {client}")

    def close(self) -> list[str]:
        """End the daemon, whose clients have ended, and return the ids of the servers it had: none where no client came."""
        servers = self._servers()
        self._ask("quit -t 5")
        self._folder.cleanup()
        return servers

    def _servers(self) -> list[str]:
        return self._ask("get_server_list").split()

    def _ask(self, order: str) -> str:
        """Return what the daemon answers."""
        environment = {**os.environ, **self.environment}
        return subprocess.run([CONTROL], input=f"{order}\n", env=environment, check=False, capture_output=True, text=True).stdout


def uuids() -> list[str]:
    """Return the UUIDs of the GPUs that this process may use, in its order."""
    import torch

    return [f"GPU-{torch.cuda.get_device_properties(index).uuid}" for index in range(torch.cuda.device_count())]
