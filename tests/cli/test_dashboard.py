"""The dashboard beside a search, and the report served: where they listen, and when they end."""

import _thread
import socket
import threading
import time
import urllib.error
import urllib.request

import pytest

from evolution.small_search import archive_of
from star_search.runs.directory import RunDirectory


@pytest.fixture
def taken():
    """A port on loopback that somebody has."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


@pytest.fixture
def free(taken):
    """A port that nobody has."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        return other.getsockname()[1]


def first_answer(port, seconds=60):
    """Return what is served once something is; nothing when that takes too long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=seconds) as answer:
                return answer.read().decode()
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    return ""


def test_a_port_that_is_taken_is_refused_before_anything_is_made(command, configuration, here, taken):
    asked = command("evolve", "--config", configuration, "--dashboard-port", taken)
    assert asked.sentence() == f"--dashboard-port {taken} cannot be had: Address already in use; give another, or 0 for a free one"
    assert list(here.iterdir()) == []


def test_ports_and_files_that_cannot_be_are_refused(command, finished):
    assert (
        command("report", finished.path, "--serve", "--port", 70_000).sentence() == "--port must be 0, for a free port, to 65535, got 70000"
    )
    sentence = command("report", finished.path, "--serve", "--out", "x.html").sentence()
    assert sentence == "--serve writes no file, so it cannot be combined with --out"
    assert "combined with --serve" in command("report", finished.path, "--port", 0, "--tensorboard").sentence()


def test_a_search_is_shown_while_it_runs_and_its_archive_is_that_of_any_other(command, configuration, finished, here, free):
    pages = []
    watcher = threading.Thread(target=lambda: pages.append(first_answer(free)), daemon=True)
    watcher.start()
    ended = command("evolve", "--config", configuration, "--run-dir", "shown", "--dashboard-port", free)
    assert (ended.code, ended.err) == (0, "")
    assert f"dashboard http://127.0.0.1:{free}/\n" in ended.out
    watcher.join(60)
    assert "shown: star-search report" in pages[0]
    assert archive_of(RunDirectory.open(here / "shown")) == archive_of(finished)
    assert first_answer(free, 0.2) == "", "it ends with the search"


def test_a_report_is_served_until_ctrl_c(command, finished, here, free):
    pages = []

    def watch():
        pages.append(first_answer(free))
        _thread.interrupt_main()

    threading.Thread(target=watch, daemon=True).start()
    ended = command("report", finished.path, "--serve", "--port", free)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == f"serving {finished.path} at http://127.0.0.1:{free}/ until Ctrl-C\n"
    assert "run: star-search report" in pages[0] and list(here.iterdir()) == []
