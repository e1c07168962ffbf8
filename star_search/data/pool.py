"""Processes that tokenise; with one alone, this one does it itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context

from star_search.data.reading import Chunk
from star_search.data.tokenise import ChunkTokeniser, Part
from star_search.errors import StarSearchError
from star_search.processes import end_with, interrupts_ignored

Submit = Callable[[int, Chunk], Future[Part]]

_tokeniser: list[ChunkTokeniser] = []


@contextmanager
def tokenising(tokeniser: ChunkTokeniser, processes: int) -> Iterator[Submit]:
    """Give a function that takes a file's number and a chunk of it, and promises the part.

    Raises:
        StarSearchError: when a process dies.
    """
    if processes == 1:
        yield lambda file, chunk: finished(tokeniser(file, chunk))
        return
    others = set(active_children())
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=_begin, initargs=(os.getpid(), tokeniser)) as pool:
        with interrupts_ignored():  # The first task starts the processes, which inherit this.
            pool.submit(os.getpid)
        try:
            yield lambda file, chunk: pool.submit(_tokenise, file, chunk)
        except BrokenProcessPool:
            raise StarSearchError("a process that tokenises died, as when memory runs out; the same command goes on") from None
        except BaseException:
            # Whatever they are at is worth nothing now, and parts appear whole or not at all.
            for process in set(active_children()) - others:
                process.kill()
            raise


def finished(part: Part) -> Future[Part]:
    """Return a promise that is kept already."""
    future: Future[Part] = Future()
    future.set_result(part)
    return future


def failed(error: Exception) -> Future[Part]:
    """Return a promise that is broken already."""
    future: Future[Part] = Future()
    future.set_exception(error)
    return future


def _begin(parent: int, tokeniser: ChunkTokeniser) -> None:
    end_with(parent)
    # Its threads would only compete with the other processes.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    _tokeniser.append(tokeniser)


def _tokenise(file: int, chunk: Chunk) -> Part:
    return _tokeniser[0](file, chunk)
