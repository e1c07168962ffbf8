"""The daemon by which processes share a GPU, as a stand-in hears it."""

import os
import time
from pathlib import Path

import pytest

from star_search.errors import StarSearchError
from star_search.evolution import mps
from star_search.processes import environment


def test_clients_find_the_daemon_and_it_ends_without_a_trace(daemon, monkeypatch):
    monkeypatch.setenv(mps.VISIBLE, "3")
    monkeypatch.setenv(mps.LOG, "before")
    start = time.monotonic()
    service = mps.Service(["GPU-a", "GPU-b"])
    # The stand-in lives on for five seconds with what it was given.
    assert time.monotonic() - start < 4
    with environment(service.environment):
        place = Path(os.environ[mps.PIPE])
        assert place.is_dir() and Path(os.environ[mps.LOG]).is_dir() and os.environ[mps.VISIBLE] == "GPU-a,GPU-b"
    assert (os.environ.get(mps.PIPE), os.environ[mps.LOG], os.environ[mps.VISIBLE]) == (None, "before", "3")
    service.release(17)
    assert service.close() == ["4242"]
    assert daemon.read_text() == "-d\nget_server_list\nterminate_client 4242 17\nget_server_list\nquit -t 5\n"
    assert not place.exists()


def test_a_daemon_that_does_not_start_says_why(daemon):
    control = daemon.parent / "bin" / mps.CONTROL
    control.write_text("#!/bin/sh\necho 'An instance of this daemon is already running' >&2; exit 1\n")
    with pytest.raises(StarSearchError, match="nvidia-cuda-mps-control did not start: An instance of this daemon is already running"):
        mps.Service([])
