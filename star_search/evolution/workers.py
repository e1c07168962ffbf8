"""Worker processes: each assesses one candidate at a time; one that hangs is killed, one that dies costs its candidate one retry."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

from star_search.config import SearchConfig
from star_search.errors import InputError, StarSearchError
from star_search.evolution import mps
from star_search.evolution.worker_checks import check_distributed, on_dask
from star_search.genome.encoding import Genome
from star_search.objectives.assignment import Assessed, Assignment, Sign
from star_search.objectives.registry import Criteria, account_of
from star_search.processes import START_SECONDS, available_cores, end_with, environment, interrupts_ignored, kill
from star_search.runs.records import Outcome

POLL_SECONDS = 0.2
RETRIES = 1
STARTS = 3
COMPILERS = "TORCHINDUCTOR_COMPILE_THREADS"
# Workers are killed at the end, and what compiles for them leaves a semaphore each, which is cleaned up and need not be told of.
WARNINGS, QUIET = "PYTHONWARNINGS", "ignore::UserWarning:multiprocessing.resource_tracker"

ProgressReport = Callable[[Sign], None]
# Gives the next candidate, or None while there is none: there may be one once a result is in.
Source = Callable[[], Assignment | None]


@dataclass(frozen=True, slots=True)
class Lost:
    """A try that its worker did not bring to an end, by its time limit or its own death: seconds, and steps reported till then."""

    assignment: Assignment
    outcome: Outcome
    reason: str
    seconds: float
    steps: int
    ended: float = field(default_factory=time.time)

    @property
    def busy(self) -> list[float]:
        """When it began and ended, in seconds since the epoch."""
        return [self.ended - self.seconds, self.ended]


class Retries:
    """Candidates whose worker died and that get another try: one each, and none for those that were out of time.

    The record of a candidate that was tried again says why, whatever becomes of it. Tokens that went with a worker are in `measured`,
    because how many there were is the clock's doing; they are a lower bound, as a worker reports only every few steps.
    """

    def __init__(self, config: SearchConfig) -> None:
        self.config = config
        self.waiting = deque[Assignment]()
        self._before: dict[int, list[Lost]] = {}

    def next(self) -> Assignment | None:
        """Return the next candidate to be tried again."""
        return self.waiting.popleft() if self.waiting else None

    def ended(self, event: Assessed | Lost) -> Iterator[Assessed]:
        """Yield a candidate's record; one that was lost is kept for another try instead, where it has one left."""
        number = event.assignment.id if isinstance(event, Lost) else event.record.id
        before = self._before.pop(number, [])
        tried = {"tried_before": [lost.reason for lost in before], "lost_busy": [lost.busy for lost in before]} if before else {}
        if isinstance(event, Assessed):
            yield event.measured_with(**tried, lost_tokens=self._tokens(before)) if before else event
        elif event.outcome != Outcome.timeout and len(before) < RETRIES:
            self._before[number] = [*before, event]
            self.waiting.append(event.assignment)
        else:
            again = " for the second time" if before and event.outcome != Outcome.timeout else ""
            yield self._record(event, event.reason + again, tried | {"lost_tokens": self._tokens([*before, event])})

    def _tokens(self, tries: list[Lost]) -> int:
        return sum(lost.steps for lost in tries) * self.config.training.batch_tokens

    def _record(self, lost: Lost, reason: str, measured: dict[str, Any]) -> Assessed:
        account = account_of(self.config, Genome.parse(lost.assignment.canonical))
        objectives = Criteria.from_config(self.config).exact_values(account)
        seed, measured = self.config.algorithm.seed, {"seconds": lost.seconds, "busy": lost.busy, **measured}
        return Assessed(lost.assignment.record(seed, lost.outcome, reason, objectives, measured=measured))


class Workers(Protocol):
    """Assesses candidates and yields results as they come, in any order."""

    def assess(self, source: Source, report: ProgressReport) -> Iterator[Assessed]:
        """Yield results until the source has nothing and no worker is busy. Asks the source only when a worker is free."""
        ...

    def close(self) -> None:
        """End the workers at once."""
        ...


class InProcess:
    """Assesses in this process: no time limit, and a crash of the process is a crash of the search."""

    def __init__(self, config: SearchConfig) -> None:
        import torch

        from star_search.objectives.assessment import Assessor
        from star_search.training.world import taken

        torch.set_num_threads(config.workers.threads)
        self.assessor = Assessor(config, str(taken(devices(config.workers.device)[0])))

    def assess(self, source: Source, report: ProgressReport) -> Iterator[Assessed]:
        """Yield results one by one."""
        while (assignment := source()) is not None:
            yield self._assess(assignment, report)

    def _assess(self, assignment: Assignment, report: ProgressReport) -> Assessed:
        report(Sign(assignment, "0"))
        return self.assessor(assignment, lambda progress: report(Sign(assignment, "0", progress)))

    def close(self) -> None:
        """Nothing to end."""


@dataclass
class _Worker:
    name: str
    process: BaseProcess
    pipe: Connection
    device: str
    assignment: Assignment | None = None
    started: float = 0.0
    steps: int = 0
    ready: bool = False
    last_words: str = ""


class Processes:
    """Worker processes on this machine, spread over its devices; they end with this process, however it ends.

    Several on a GPU take turns, or run at once by MPS where the configuration asks for it or a daemon is found in the environment.

    Raises:
        InputError: when MPS is asked for and not installed.
    """

    def __init__(self, config: SearchConfig) -> None:
        self.config = config
        available = devices(config.workers.device)
        count = worker_count(config, available)
        self._context = multiprocessing.get_context("spawn")
        self._service, self._environment = surroundings(config, available, count)
        self._failed_starts, self._workers = 0, list[_Worker]()
        try:
            for index in range(count):
                self._workers.append(self._start(str(index), available[index % len(available)]))
        except BaseException:
            self.close()
            raise

    def _start(self, name: str, device: str) -> _Worker:
        here, there = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(there, os.getpid(), self.config, device), daemon=True)
        with interrupts_ignored(), environment(self._environment):
            process.start()
        there.close()
        return _Worker(name, process, here, device)

    def assess(self, source: Source, report: ProgressReport) -> Iterator[Assessed]:
        """Yield results as workers finish.

        Raises:
            StarSearchError: when a worker cannot start.
        """
        retries = Retries(self.config)
        while True:
            for worker in self._workers:
                if worker.assignment is None:
                    assignment = retries.next() or source()
                    if assignment is not None:
                        self._give(worker, assignment)
                        report(Sign(assignment, worker.name))
            if all(worker.assignment is None for worker in self._workers):
                return
            for event in self._events(report):
                yield from retries.ended(event)

    @staticmethod
    def _give(worker: _Worker, assignment: Assignment) -> None:
        worker.assignment, worker.started, worker.steps = assignment, time.monotonic(), 0
        with contextlib.suppress(OSError):  # A dead worker; the next look at its sentinel says so.
            worker.pipe.send(assignment)

    def _events(self, report: ProgressReport) -> Iterator[Assessed | Lost]:
        """Wait a moment, then yield what finished, and what was lost to a dead worker or the time limit."""
        pipes = {worker.pipe: index for index, worker in enumerate(self._workers)}
        sentinels = {worker.process.sentinel: index for index, worker in enumerate(self._workers)}
        heard = wait([*pipes, *sentinels], timeout=POLL_SECONDS)
        for pipe in [source for source in heard if isinstance(source, Connection)]:
            yield from self._read(pipes[pipe], report)
        for index, worker in enumerate(self._workers):
            if not worker.process.is_alive():
                yield from self._read(index, report)
                yield from self._bury(index)
            elif self._overdue(worker):
                yield from self._kill(index)

    def _read(self, index: int, report: ProgressReport) -> Iterator[Assessed]:
        worker = self._workers[index]
        try:
            while worker.pipe.poll():
                kind, value = worker.pipe.recv()
                if kind == "progress" and worker.assignment is not None:
                    worker.steps = value.step
                    report(Sign(worker.assignment, worker.name, value))
                elif kind == "ready":
                    worker.ready, worker.started = True, time.monotonic()
                    self._failed_starts = 0
                elif kind == "lost":
                    worker.last_words = value
                elif kind == "failed":
                    raise StarSearchError(value)
                elif kind == "result":
                    worker.assignment = None
                    yield value
        except (EOFError, OSError):
            pass  # The pipe of a dead worker; its sentinel says the rest.

    def _overdue(self, worker: _Worker) -> bool:
        limit = self.config.workers.timeout if worker.ready else START_SECONDS
        return limit is not None and worker.assignment is not None and time.monotonic() - worker.started > limit

    def _kill(self, index: int) -> Iterator[Lost]:
        worker = self._workers[index]
        if self._service is not None:
            self._service.release(worker.process.pid)
        worker.process.kill()
        worker.process.join()
        if worker.ready:
            yield from self._replace(index, Outcome.timeout, f"not finished after {self.config.workers.timeout:g} seconds")
        else:
            self._start_again(index, f"{STARTS} times were not ready after {START_SECONDS:g} seconds")

    def _bury(self, index: int) -> Iterator[Lost]:
        worker = self._workers[index]
        worker.process.join()
        code = worker.process.exitcode or 0
        if worker.last_words and self._service is not None:
            self._begin_anew([other for other in range(len(self._workers)) if other != index])
        if worker.ready:
            yield from self._replace(index, Outcome.crashed, worker.last_words or _cause_of_death(code))
        else:
            self._start_again(index, f"ended {STARTS} times before they were ready: exit code {code}")

    def _begin_anew(self, indices: list[int]) -> None:
        """Replace workers that a fault of another reached, as it does all clients of MPS; their candidates' tries count as none."""
        before = [self._workers[index] for index in indices]
        kill(worker.process for worker in before)
        for index, worker in zip(indices, before, strict=True):
            self._workers[index] = self._start(worker.name, worker.device)
            if worker.assignment is not None:
                self._give(self._workers[index], worker.assignment)

    def _replace(self, index: int, outcome: Outcome, reason: str) -> Iterator[Lost]:
        worker, seconds = self._workers[index], time.monotonic() - self._workers[index].started
        self._workers[index] = self._start(worker.name, worker.device)
        if worker.assignment is not None:
            yield Lost(worker.assignment, outcome, reason, seconds, worker.steps)

    def _start_again(self, index: int, what: str) -> None:
        """Start a worker that was not ready again; it had not begun with its candidate, which its successor gets."""
        worker = self._workers[index]
        self._failed_starts += 1
        if self._failed_starts == STARTS:
            raise StarSearchError(f"worker processes on {worker.device} {what}")
        self._workers[index] = self._start(worker.name, worker.device)
        if worker.assignment is not None:
            self._give(self._workers[index], worker.assignment)

    def close(self) -> None:
        """Kill the workers; nothing they hold is worth waiting for."""
        kill(worker.process for worker in self._workers)
        if self._service is not None:
            self._service.close()


def surroundings(config: SearchConfig, available: list[str], count: int) -> tuple[mps.Service | None, dict[str, str]]:
    """Return what so many workers are to find in their environment, and the daemon that they share GPUs by, if there is one.

    Raises:
        InputError: when MPS is asked for and not installed.
    """
    service = _service(config, available, count)
    # Without a word each worker would compile in as many processes of its own as there are cores.
    compilers = os.environ.get(COMPILERS, str(max(1, available_cores() // count)))
    warnings = ",".join(filter(None, (os.environ.get(WARNINGS), QUIET)))
    return service, {COMPILERS: compilers, WARNINGS: warnings, **(service.environment if service else {})}


def _service(config: SearchConfig, available: list[str], count: int) -> mps.Service | None:
    """Return a daemon for workers that share a GPU, where it is asked for and none is there."""
    if not config.workers.mps or available[0] == "cpu" or count <= len(available) or mps.PIPE in os.environ:
        return None
    if not mps.is_installed():
        raise InputError(f"workers.mps needs {mps.CONTROL}, which is not on the PATH; without it workers take turns on a GPU")
    return mps.Service(mps.uuids())


def _cause_of_death(exit_code: int) -> str:
    if exit_code == -signal.SIGKILL:
        return "its worker process was killed by signal 9, as the kernel does when memory runs out"
    name = signal.Signals(-exit_code).name if exit_code < 0 else f"exit code {exit_code}"
    return f"its worker process died ({name})"


def build_workers(config: SearchConfig) -> Workers:
    """Return the workers that the configuration asks for; `workers.count: 0` assesses in this process.

    Raises:
        InputError: where Dask is asked for and not there, or its scheduler is not.
    """
    if config.workers.count == 0:
        return InProcess(config)
    if not on_dask(config):
        return Processes(config)
    check_distributed()
    from star_search.evolution.cluster import DaskWorkers

    return DaskWorkers(config)


def worker_count(config: SearchConfig, available: list[str]) -> int:
    """Return how many worker processes there will be: as asked, or `per_device` per GPU, or as many as cores and candidates allow."""
    if config.workers.count != "auto":
        return config.workers.count
    if available[0] != "cpu":
        return len(available) * config.workers.per_device
    return max(1, min(available_cores() // config.workers.threads, config.algorithm.pending))


def devices(name: str, where: str = "workers.device") -> list[str]:
    """Return the devices that a name means: `auto`, `cpu`, `cuda` (all of them) or `cuda:N`; `where` is the key or option that has it.

    Raises:
        InputError: for another name, or a GPU that is not there.
    """
    if name == "cpu" or (name == "auto" and not os.path.exists("/dev/nvidiactl")):  # noqa: PTH110
        return ["cpu"]
    import torch

    count = torch.cuda.device_count()
    if name in ("auto", "cuda") and (count or name == "auto"):
        return [f"cuda:{index}" for index in range(count)] or ["cpu"]
    if name in [f"cuda:{index}" for index in range(count)]:
        return [name]
    allowed = f", cpu, cuda or cuda:N with N below {count}, the number of GPUs here" if count else " or cpu, as there is no GPU here"
    raise InputError(f"{where} must be auto{allowed}, got '{name}'")


def _serve(pipe: Connection, parent: int, config: SearchConfig, device: str) -> None:
    """Run in a worker: assess what the pipe brings until it closes."""
    end_with(parent)
    import torch

    from star_search.objectives.assessment import Assessor, DeviceLost
    from star_search.training.world import taken

    torch.set_num_threads(config.workers.threads)
    assessor = Assessor(config, str(taken(device)))
    pipe.send(("ready", None))
    while True:
        try:
            assignment = pipe.recv()
        except EOFError:
            return
        try:
            assessed = assessor(assignment, lambda progress: pipe.send(("progress", progress)))
        except DeviceLost as error:
            # A new process gets the device back; this one could not even end in order.
            pipe.send(("lost", str(error)))
            os._exit(1)
        except StarSearchError as error:
            pipe.send(("failed", str(error)))
        else:
            pipe.send(("result", assessed.measured_with(worker=os.getpid())))
