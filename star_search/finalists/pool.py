"""Worker processes for the trainings of a comparison: each does one after another, so that what was compiled for one serves the next."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any, Literal

from star_search.config import SearchConfig
from star_search.errors import StarSearchError
from star_search.evolution.workers import surroundings
from star_search.finalists.recording import Watch
from star_search.finalists.source import Source
from star_search.processes import end_with, environment, interrupts_ignored, kill

if TYPE_CHECKING:
    from star_search.finalists.comparison import Comparison


@dataclass(frozen=True)
class Task:
    """What a comparison is to do with a source and a seed: train it, or score it by the MAD tasks."""

    what: Literal["train", "mad"]
    source: Source
    seed: int

    @property
    def label(self) -> str:
        """What it is called on the screen."""
        return f"{self.source.label}, learning rate {self.source.config.training.learning_rate:g}, seed {self.seed}"

    def done_by(self, comparison: Comparison, watch: Watch) -> Any:
        """Do it."""
        if self.what == "mad":
            return comparison.mad_accuracies(self.source, self.seed)
        return comparison.train(self.source, self.seed, watch)


@dataclass(frozen=True)
class Began:
    """A task was taken up."""

    task: Task


@dataclass(frozen=True)
class Moved:
    """A task's training came to a step."""

    task: Task
    step: int


@dataclass(frozen=True)
class Done:
    """A task was done, with this result."""

    task: Task
    result: Any


Event = Began | Moved | Done


def in_turn(comparison: Comparison, tasks: Sequence[Task], report: Callable[[Event], None]) -> Iterator[Done]:
    """Do one task after another in this process."""
    for task in tasks:
        report(Began(task))
        done = Done(task, task.done_by(comparison, lambda progress, task=task: report(Moved(task, progress.step))))  # type: ignore[misc]
        report(done)
        yield done


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    task: Task | None = None


class Pool:
    """So many processes on devices in turn, which end with this one, however it ends.

    Raises:
        InputError: when MPS is asked for and not installed.
    """

    def __init__(self, count: int, config: SearchConfig, devices: list[str]) -> None:
        context = multiprocessing.get_context("spawn")
        self._workers = list[_Worker]()
        self._service, variables = surroundings(config, devices, count)
        for index in range(count):
            here, there = context.Pipe()
            given = (there, os.getpid(), devices[index % len(devices)], config.workers.threads)
            process = context.Process(target=_serve, args=given, daemon=True)
            with interrupts_ignored(), environment(variables):
                process.start()
            there.close()
            self._workers.append(_Worker(process, here))

    def side_by_side(self, comparison: Comparison, tasks: Sequence[Task], report: Callable[[Event], None]) -> Iterator[Done]:
        """Do tasks on all workers and yield what is done, as it comes.

        Raises:
            InputError: where a task does.
            StarSearchError: when a process dies; what the others finished is kept.
        """
        waiting = list(reversed(tasks))
        while True:
            for worker in self._workers:
                if worker.task is None and waiting:
                    worker.task = waiting.pop()
                    with contextlib.suppress(OSError):  # A dead worker; the next look at its pipe says so.
                        worker.pipe.send((comparison, worker.task))
                    report(Began(worker.task))
            pipes = {worker.pipe: worker for worker in self._workers if worker.task is not None}
            if not pipes:
                return
            for pipe in wait(list(pipes)):
                event = _heard(pipes[pipe])  # type: ignore[index]
                report(event)
                if isinstance(event, Done):
                    pipes[pipe].task = None  # type: ignore[index]
                    yield event

    def close(self) -> None:
        """Kill the workers; what they finished is in its folders."""
        kill(worker.process for worker in self._workers)
        if self._service is not None:
            self._service.close()


def _heard(worker: _Worker) -> Moved | Done:
    """Return what a worker says of its task, or raise what it raised."""
    assert worker.task is not None
    try:
        kind, value = worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join()
        raise StarSearchError(
            f"the process that had {worker.task.label} died (exit code {worker.process.exitcode}); "
            "what was finished is kept, and the same command goes on"
        ) from None
    if kind == "failed":
        raise value
    return Done(worker.task, value) if kind == "done" else Moved(worker.task, value)


def _serve(pipe: Connection, parent: int, device: str, threads: int) -> None:
    """Run in a worker: do the tasks that the pipe brings until it closes."""
    end_with(parent)
    import torch

    from star_search.training.world import World, taken

    torch.set_num_threads(threads)
    world = World(taken(device))
    while True:
        try:
            comparison, task = pipe.recv()
        except EOFError:
            return
        comparison.world = world
        try:
            result = task.done_by(comparison, lambda progress: pipe.send(("moved", progress.step)))
        except StarSearchError as error:
            pipe.send(("failed", error))
        else:
            pipe.send(("done", result))
