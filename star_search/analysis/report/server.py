"""The report of a run that grows, served on loopback: the page, its data, and nothing else."""

from __future__ import annotations

import re
import socket
import sys
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from star_search.analysis.plain_text import printable
from star_search.analysis.report.data import report_data
from star_search.analysis.report.page import data_lines, page_html, waiting_html
from star_search.analysis.run_view import RunView
from star_search.errors import StarSearchError
from star_search.runs.directory import RunDirectory

# After it was made for a second of processor time it is not made for twenty: a run of thousands takes seconds, and the search goes first.
REST = 20
# An open page asks every three seconds; one that has not asked for so long is closed.
WATCHED_SECONDS = 8.0
LINGER_SECONDS = 10.0
_LOCAL_HOST = re.compile(r"(127\.0\.0\.1|localhost)(:\d{1,5})?", re.ASCII)
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class Made:
    """The report as it was at one time."""

    version: str
    page: bytes
    data: bytes


class LiveReport:
    """The report of a run as it grows: made anew when there is more and somebody asks."""

    def __init__(self, run: RunDirectory, generation: int | None = None) -> None:
        self.run, self.generation = run, generation
        self.asked = float("-inf")
        self.has_told_end = False
        self._lock = threading.Lock()
        self._made: Made | None = None
        self._rest_until = 0.0
        self._is_last = False

    def version(self) -> str:
        """Return what changes whenever a candidate or a generation is recorded."""
        candidates = self.run.path / "candidates"
        changed = candidates.stat().st_mtime_ns if candidates.is_dir() else 0
        return f'"{self.run.created_ns:x}-{changed:x}-{len(self.run.generation_numbers())}"'

    def made(self) -> Made:
        """Return the report, made by the one who asks first.

        Raises:
            StarSearchError: when the run cannot be read.
        """
        with self._lock:
            version = self.version()
            due = self._is_last or time.monotonic() >= self._rest_until
            if self._made is None or (due and self._made.version != version):
                start = time.thread_time()
                self._made = self._make(version)
                self._rest_until = time.monotonic() + REST * (time.thread_time() - start)
            return self._made

    def _make(self, version: str) -> Made:
        view = RunView.read(self.run, self.generation)
        if not view.records:
            return Made(version, waiting_html(self.run.path.name).encode(), b"")
        data = report_data(view)
        return Made(version, page_html(data, version).encode(), data_lines(data).encode())

    def is_end(self, made: Made) -> bool:
        """Return whether nothing will come after what was made."""
        return self._is_last and made.version == self.version()

    def finish(self) -> None:
        """Wait until an open page has been told the end of the run, ten seconds at most; no time where none is open."""
        self._is_last = True
        deadline = time.monotonic() + LINGER_SECONDS
        while not self.has_told_end and time.monotonic() < min(deadline, self.asked + WATCHED_SECONDS):
            time.sleep(0.05)


class ReportServer(ThreadingHTTPServer):
    """Serves one report on a socket that listens already."""

    daemon_threads = True

    def __init__(self, listener: socket.socket, report: LiveReport) -> None:
        super().__init__(listener.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket, self.report = listener, report

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass over a browser that went away while it was answered; the terminal shows the search."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: ReportServer
    server_version, sys_version = "star-search", ""
    # A connection that says nothing holds a thread no longer than this.
    timeout = 10

    def do_GET(self) -> None:
        """Answer for the page and for its data."""
        # Another site whose name was made to point here still says its own name: its pages must not read the run.
        if not _LOCAL_HOST.fullmatch(self.headers.get("Host", "")):
            return self._refuse(HTTPStatus.FORBIDDEN, "this page is served to 127.0.0.1 and localhost alone")
        if self.path not in ("/", "/data"):
            return self._refuse(HTTPStatus.NOT_FOUND, "there is nothing but the report, at /")
        try:
            made = self.server.report.made()
        except (StarSearchError, OSError) as error:
            return self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, f"the run cannot be read: {error}")
        except Exception as error:  # A browser that is told nothing shows a page of its own, and asks again.
            sentence = f"the report cannot be made of {self.server.report.run.path}: {type(error).__name__}: {error}"
            return self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, sentence)
        if self.path == "/":
            return self._send(HTTPStatus.OK, "text/html; charset=utf-8", made.page, made.version)
        report = self.server.report
        report.asked, is_end = time.monotonic(), report.is_end(made)
        state = "ended" if is_end else "open"
        if self.headers.get("If-None-Match") == made.version:
            self._send(HTTPStatus.NOT_MODIFIED, "application/json", b"", made.version, state)
        else:
            self._send(HTTPStatus.OK, "application/json", made.data, made.version, state)
        report.has_told_end = report.has_told_end or is_end
        return None

    def _refuse(self, status: HTTPStatus, sentence: str) -> None:
        self._send(status, "text/plain; charset=utf-8", f"{printable(sentence)}\n".encode())

    def _send(self, status: HTTPStatus, kind: str, body: bytes, version: str = "", state: str = "") -> None:
        self.send_response(status)
        named = (
            {"Content-Type": kind, "Content-Length": str(len(body))}
            | ({"ETag": version} if version else {})
            | ({"Run-State": state} if state else {})
        )
        for name, value in (named | _HEADERS).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: the terminal shows the search."""
