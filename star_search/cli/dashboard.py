"""The dashboard: the report of a run in a browser while the search goes on, from a process of its own."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

from star_search.errors import InputError
from star_search.runs.directory import RunDirectory

LAST_PORT = 65_535


def listen(option: str, port: int) -> socket.socket:
    """Return a socket that listens on loopback; port 0 is any free one.

    Raises:
        InputError: when the port cannot be had; it names the option.
    """
    if not 0 <= port <= LAST_PORT:
        raise InputError(f"{option} must be 0, for a free port, to {LAST_PORT}, got {port}")
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise InputError(f"{option} {port} cannot be had: {error.strerror}; give another, or 0 for a free one") from error
    return listener


def url_of(listener: socket.socket) -> str:
    """Return where a browser finds it."""
    host, port = listener.getsockname()
    return f"http://{host}:{port}/"


class Dashboard:
    """Serves a run from when it is shown until the context ends; its process ends with this one, however this ends."""

    def __init__(self, port: int, quiet: bool) -> None:
        self._listener, self._quiet = listen("--dashboard-port", port), quiet
        self._pipe: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def show(self, run: RunDirectory) -> None:
        """Begin to serve a run, and say where."""
        from star_search.cli.console import print_whole
        from star_search.processes import interrupts_ignored

        context = get_context("spawn")
        self._pipe, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(self._listener, there, os.getpid(), run), daemon=True)
        with interrupts_ignored():
            self._process.start()
        if not self._quiet:
            print_whole(f"dashboard {url_of(self._listener)}")
        there.close()
        self._listener.close()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._listener.close()
        if self._pipe is not None:
            self._pipe.close()
            self._process.join()


def _serve(listener: socket.socket, pipe: Connection, parent: int, run: RunDirectory) -> None:
    from star_search.analysis.report.server import LiveReport, ReportServer
    from star_search.processes import end_with

    end_with(parent)
    os.nice(10)  # The search goes first.
    report = LiveReport(run)
    with ReportServer(listener, report) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with suppress(EOFError):
            pipe.recv()  # Until the search's end closes it.
        report.finish()


def serve_until_interrupted(listener: socket.socket, run: RunDirectory, generation: int | None) -> None:
    """Serve a run from this process until Ctrl-C."""
    from star_search.analysis.report.server import LiveReport, ReportServer

    with ReportServer(listener, LiveReport(run, generation)) as server, suppress(KeyboardInterrupt):
        server.serve_forever()
