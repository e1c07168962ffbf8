"""Workers on Dask Distributed: on this machine, or wherever a scheduler's workers are; the same code for SSH, SLURM and Kubernetes.

One candidate is in flight per worker process, and Dask itself never runs one again: a worker that dies takes its candidate alone with
it, and that is told here, where retries are counted.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from star_search.config import SearchConfig
from star_search.errors import InputError, StarSearchError
from star_search.evolution.workers import Lost, ProgressReport, Retries, Source, devices, worker_count
from star_search.objectives.assignment import Assessed, Assignment, Sign
from star_search.processes import end_with, interrupts_ignored
from star_search.runs.records import Outcome
from star_search.training.progress import Progress

if TYPE_CHECKING:
    from distributed import Client, Future, LocalCluster

    from star_search.objectives.assessment import Assessor

POLL_SECONDS = 0.2
CONNECT_SECONDS = 10
NEARLY = 0.9  # The message that a candidate began may take longer than the one that its worker is gone.
_TOPIC = "star-search"

Flights = dict[str, "tuple[Future[Assessed], _Flight]"]

_assessors: dict[str, Assessor] = {}
_one_at_a_time = threading.Lock()


@dataclass
class _Flight:
    """A candidate that a worker was given: when, since when it is known to train, and steps reported."""

    assignment: Assignment
    given: float
    begun: float | None = None
    steps: int = 0


class DaskWorkers:
    """Worker processes behind a Dask scheduler: one of our own on this machine, or the one whose address is given."""

    def __init__(self, config: SearchConfig) -> None:
        self.config = config
        _silence()
        self._cluster = _start_cluster(config) if config.workers.scheduler is None else None
        self._client = _connect(config, self._cluster)
        self._heard: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._client.subscribe_topic(_TOPIC, lambda event: self._heard.put(("event", event[1])))
        self._slots, self._counted = 0, 0.0

    def assess(self, source: Source, report: ProgressReport) -> Iterator[Assessed]:
        """Yield results as workers finish.

        Raises:
            StarSearchError: when a worker cannot start, or the scheduler is lost.
        """
        flights: Flights = {}
        retries = Retries(self.config)
        while True:
            # With no worker there, yet or for the moment, it waits.
            while len(flights) < self._free():
                assignment = retries.next() or source()
                if assignment is None:
                    if not flights:
                        return
                    break
                key = f"candidate-{assignment.id}-{time.monotonic_ns()}"
                flights[key] = self._submit(assignment, key), _Flight(assignment, time.monotonic())
            with contextlib.suppress(queue.Empty):
                kind, value = self._heard.get(timeout=POLL_SECONDS)
                if kind == "event":
                    self._note(value, flights, report)
                elif value in flights:
                    yield from self._landed(*flights.pop(value), retries)

    def _submit(self, assignment: Assignment, key: str) -> Future[Assessed]:
        future = self._client.submit(_assess, assignment, self.config, key=key, pure=False)
        future.add_done_callback(lambda done: self._heard.put(("done", key)))
        return future

    def _note(self, event: dict[str, Any], flights: Flights, report: ProgressReport) -> None:
        if event["key"] not in flights:  # A try that has ended; the candidate may be in its next.
            return
        _, flight = flights[event["key"]]
        if event["progress"] is None:
            flight.begun = time.monotonic()
        progress = None if event["progress"] is None else Progress(**event["progress"])
        flight.steps = 0 if progress is None else progress.step
        report(Sign(flight.assignment, event["name"], progress))

    def _landed(self, future: Future[Assessed], flight: _Flight, retries: Retries) -> Iterator[Assessed]:
        from distributed.scheduler import KilledWorker

        if future.status == "finished":
            yield from retries.ended(future.result())
            return
        if future.status == "cancelled":
            raise StarSearchError("the Dask scheduler is gone; resume once there is one again")
        error = future.exception()
        if isinstance(error, StarSearchError):
            raise error
        if not isinstance(error, KilledWorker):
            raise StarSearchError(f"a worker failed before its candidate began: {type(error).__name__}: {error}")
        self._counted = 0.0
        yield from retries.ended(self._lost(flight))

    def _lost(self, flight: _Flight) -> Lost:
        limit, seconds = self.config.workers.timeout, time.monotonic() - (flight.begun or flight.given)
        # Of a worker that died early nobody may have heard that it began, and then the time it took to start is no time over the limit.
        if limit is not None and flight.begun is not None and seconds >= NEARLY * limit:
            return Lost(flight.assignment, Outcome.timeout, f"not finished after {limit:g} seconds", seconds, flight.steps)
        return Lost(flight.assignment, Outcome.crashed, "its worker process died", seconds, flight.steps)

    def _free(self) -> int:
        """Return how many candidates may be in flight: as many as there are workers now."""
        if time.monotonic() - self._counted > 1:
            try:
                threads = self._client.nthreads()
            except (OSError, TimeoutError) as error:
                raise StarSearchError(f"the Dask scheduler does not answer: {error}") from error
            _refuse_crowded(threads)
            self._slots, self._counted = len(threads), time.monotonic()
        count = self.config.workers.count
        return self._slots if count == "auto" else min(self._slots, count)

    def close(self) -> None:
        """End the workers of this machine at once; those of a scheduler stay, without this search's candidates."""
        with contextlib.suppress(Exception):
            self._client.cancel(list(self._client.futures.values()), force=True)
        if self._cluster is not None:
            _kill(self._cluster)
        with contextlib.suppress(Exception):
            self._client.close(timeout=2)
        if self._cluster is not None:
            # Its processes are dead; on a busy machine it may take Dask longer than this to notice.
            with contextlib.suppress(TimeoutError):
                self._cluster.close(timeout=5)


def _silence() -> None:
    """Keep Dask's own account of workers that die from standing between the lines of the search."""
    import distributed  # noqa: F401  It sets the level of each of its loggers when it is imported.

    for name in list(logging.root.manager.loggerDict):
        if name.startswith("distributed"):
            logging.getLogger(name).setLevel(logging.CRITICAL)


def _start_cluster(config: SearchConfig) -> LocalCluster:
    import dask
    from distributed import LocalCluster

    count = worker_count(config, devices(config.workers.device))
    # Memory is the kernel's and the device's affair: Dask would kill at 95 % of a share that no candidate was promised.
    settings = {"distributed.scheduler.allowed-failures": 0, "distributed.worker.memory.terminate": False}
    # Its own HTTP server on any free port: one that is named is in use where a second search runs, and Dask then warns.
    server: dict[str, Any] = {"dashboard_address": "127.0.0.1:0", "scheduler_kwargs": {"dashboard": False}}
    with interrupts_ignored(), dask.config.set(settings):
        return LocalCluster(n_workers=count, threads_per_worker=1, processes=True, memory_limit=0, silence_logs=50, **server)


def _connect(config: SearchConfig, cluster: LocalCluster | None) -> Client:
    from distributed import Client

    address = config.workers.scheduler
    if cluster is not None or address is None:
        return Client(cluster)
    try:
        # Dask itself would wait for ever for a file that is not there.
        contact = json.loads(Path(address).read_text())["address"] if address.endswith(".json") else address
        client = Client(contact, timeout=CONNECT_SECONDS)
        client.run_on_scheduler(_never_rerun)
    except (OSError, TimeoutError, ValueError, KeyError, TypeError) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"workers.scheduler {address} must be the address or the JSON file of a running Dask scheduler: {text}") from None
    return client


def check_scheduler(config: SearchConfig) -> None:
    """Connect to the scheduler once and let go of it, to find out whether a search could use it; it may have no worker yet.

    Raises:
        InputError: when it is not there, or one of its workers has several threads.
    """
    _silence()
    client = _connect(config, None)
    try:
        _refuse_crowded(client.nthreads())
    except (OSError, TimeoutError) as error:
        raise InputError(f"workers.scheduler {config.workers.scheduler} does not answer: {error}") from None
    finally:
        with contextlib.suppress(Exception):
            client.close(timeout=2)


def _refuse_crowded(threads: Mapping[str, int]) -> None:
    crowded = next((address for address, count in threads.items() if count != 1), None)
    if crowded is not None:
        raise InputError(f"the Dask worker at {crowded} has {threads[crowded]} threads; start workers with --nthreads 1")


def _never_rerun(dask_scheduler: Any = None) -> None:
    dask_scheduler.allowed_failures = 0


def _kill(cluster: LocalCluster) -> None:
    for nanny in cluster.workers.values():
        nanny.auto_restart = False
        if nanny.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(nanny.pid, signal.SIGKILL)


def _assess(assignment: Assignment, config: SearchConfig) -> Assessed:
    """Run in a worker: assess one candidate under the kernel's clock, which ends the process even in native code."""
    from distributed import get_worker

    from star_search.objectives.assessment import DeviceLost

    worker = get_worker()
    key = worker.get_current_task()
    end_with(os.getppid())

    def tell(progress: Progress | None) -> None:
        # Plain values: Dask's messages carry nothing else.
        event = {"key": key, "name": str(worker.name), "progress": None if progress is None else asdict(progress)}
        worker.log_event(_TOPIC, event)

    with _one_at_a_time:
        assessor = _assessor(config, str(worker.name))
        tell(None)
        try:
            with _time_limit(config.workers.timeout):
                assessed = assessor(assignment, tell)
        except DeviceLost:
            os._exit(1)
    return assessed.measured_with(worker=worker.address)


def _assessor(config: SearchConfig, name: str) -> Assessor:
    """Return this process's assessor of a search, made once."""
    import torch

    from star_search.objectives.assessment import Assessor
    from star_search.training.world import taken

    torch.set_num_threads(config.workers.threads)
    key = config.to_yaml()
    if key not in _assessors:
        available = devices(config.workers.device)
        number = int(name[len(name.rstrip("0123456789")) :] or 0)
        _assessors.clear()
        _assessors[key] = Assessor(config, str(taken(available[number % len(available)])))
    return _assessors[key]


@contextlib.contextmanager
def _time_limit(seconds: float | None) -> Iterator[None]:
    """Have the kernel send SIGALRM, which ends the process, unless the block ends before."""
    signal.setitimer(signal.ITIMER_REAL, seconds or 0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
