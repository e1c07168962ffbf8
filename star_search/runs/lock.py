"""The lock that lets one process at a time write to a run."""

import fcntl
import json
import os
import socket
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from star_search.errors import InputError, unwritable

LOCK_NAME = "lock"

_held: set[int] = set()


class RunLock:
    """Holds a run folder for this process; the kernel lets go of it when the process dies, however it dies.

    The lock belongs to the open file description, so a forked child would keep it alive after its parent: children close
    their copy at once, and programs that they execute never get one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor = -1

    def __enter__(self) -> "RunLock":
        try:
            descriptor = os.open(self._folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                self._acquire(descriptor)
            except BaseException:
                os.close(descriptor)
                raise
        except OSError as error:
            raise unwritable(self._folder, error, "locked") from error
        self._descriptor = descriptor
        _held.add(descriptor)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._descriptor not in _held:
            return
        _held.remove(self._descriptor)
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)

    def _acquire(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{self._folder} is in use by {_holder(descriptor)}; wait for it to end or stop it") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode() + b"\n", 0)


def _holder(descriptor: int) -> str:
    try:
        values = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {values['pid']} on {values['host']}"
    except (ValueError, KeyError, TypeError):
        return "another process"


def _close_in_child() -> None:
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_close_in_child)
