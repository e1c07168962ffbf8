"""What is wrong with the workers that a configuration asks for, found before anything is made."""

from __future__ import annotations

from importlib.util import find_spec

from star_search.config import SearchConfig
from star_search.errors import InputError


def check_scheduler_used(config: SearchConfig) -> None:
    """Refuse a scheduler that the search would not use, or whose address is empty.

    Raises:
        InputError: naming `workers.scheduler`, what it got and what is allowed.
    """
    scheduler = config.workers.scheduler
    if scheduler is None:
        return
    if not scheduler.strip():
        raise InputError(f"workers.scheduler must be the address or the JSON file of a running Dask scheduler, got {scheduler!r}")
    if config.workers.count == 0:
        raise InputError(
            f"workers.scheduler is {scheduler}, and workers.count 0 trains in this process: ask for auto or at least 1 worker, "
            "or leave the scheduler out (--set workers.scheduler=null)"
        )


def check_workers(config: SearchConfig, device: str) -> None:
    """Refuse workers that cannot be had, before anything is made: a scheduler is connected to once. `device` is one of this machine's.

    Raises:
        InputError: where the engine needs a GPU that is not here, or Dask is asked for and not there, or its scheduler is not, or workers
            that it has by now have several threads.
    """
    if config.workers.count == 0 or not on_dask(config):
        config.training.check_device(device)
        return
    check_distributed()
    if config.workers.scheduler is not None:
        from star_search.evolution.cluster import check_scheduler

        check_scheduler(config)


def on_dask(config: SearchConfig) -> bool:
    """Return whether Dask runs the workers."""
    return config.workers.backend == "dask" or config.workers.scheduler is not None


def check_distributed() -> None:
    """Refuse workers on Dask where it is not installed.

    Raises:
        InputError: saying how to install it.
    """
    if find_spec("distributed") is None:
        raise InputError("workers on Dask need distributed: pip install 'star-search[distributed]'")


def check_time_limit(config: SearchConfig) -> None:
    """Refuse a time limit that nothing would keep.

    Raises:
        InputError: for a limit without worker processes.
    """
    if config.workers.timeout is not None and config.workers.count == 0:
        raise InputError(
            f"workers.timeout {config.workers.timeout:g} needs worker processes, which can be killed; with workers.count 0, "
            "this process, it must be null"
        )
