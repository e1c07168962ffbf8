"""What every test stands on: one thread, fixed seeds, poisoned memory, a cache of its own, no network."""

import functools
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# Read when huggingface_hub is imported, hence before any fixture runs.
os.environ["HF_HUB_OFFLINE"] = "1"

# A shell has what it starts in the background ignore Ctrl-C, which tests wait for.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("star", deadline=None, derandomize=True)
settings.load_profile("star")


@pytest.fixture(autouse=True, scope="session")
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STAR_SEARCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def skip_without_gpu(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("no NVIDIA GPU here")


@pytest.fixture(scope="session")
def stored_run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A finished run that nobody may change, made in a moment."""
    from stored_run import store_run

    return store_run(tmp_path_factory.mktemp("stored") / "run")


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in for NVIDIA's MPS daemon, with one server, and return the file that it puts down what it is told in."""
    told, control = tmp_path / "told.txt", tmp_path / "bin/nvidia-cuda-mps-control"
    control.parent.mkdir()
    control.write_text(
        f"""#!/bin/sh
order=${{1:-$(cat)}}
[ -d "$CUDA_MPS_PIPE_DIRECTORY" ] && [ -d "$CUDA_MPS_LOG_DIRECTORY" ] && echo "$order" >> {told}
if [ "$order" = get_server_list ]; then echo 4242; fi
if [ "$order" = -d ]; then sleep 5 & fi
"""
    )
    control.chmod(0o755)
    monkeypatch.setenv("PATH", f"{control.parent}{os.pathsep}{os.environ['PATH']}")
    return told


@pytest.fixture
def without_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dry run would train for ten seconds."""
    from star_search.cli import bill

    monkeypatch.setattr(bill, "PROBE_SECONDS", 0.0)


@pytest.fixture(autouse=True)
def torch_ground(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread, a fixed seed, and NaN in fresh memory, so that a read of what nobody wrote shows."""
    torch = sys.modules.get("torch")
    if torch is None:
        return
    torch.set_num_threads(1)
    torch.manual_seed(0)
    # `with torch.device(...)` lists the functions it redirects when first entered: before they are wrapped, or it misses them.
    with torch.device("cpu"):
        torch.empty(0)
    for owner, name in ((torch, "empty"), (torch, "empty_like"), (torch.Tensor, "new_empty")):
        monkeypatch.setattr(owner, name, _poisoned(torch, getattr(owner, name)))


def _poisoned(torch: Any, allocate: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(allocate)
    def poisoned(*args: Any, **kwargs: Any) -> Any:
        tensor = allocate(*args, **kwargs)
        if tensor.is_floating_point() or tensor.is_complex():
            with torch.no_grad():
                tensor.fill_(float("nan"))
        return tensor

    return poisoned
