"""One process at a time, and none that is dead."""

import json
import os
import signal
import socket

import pytest

from star_search.errors import InputError, StarSearchError
from star_search.runs.lock import RunLock

HOLD = """
import subprocess, sys
from pathlib import Path
from star_search.runs import RunLock
with RunLock(Path(sys.argv[1])):
    {before}
    print("held", flush=True)
    sys.stdin.read()
"""
SPAWN = "child = subprocess.Popen(['sleep', '60'], close_fds=False); print(child.pid, flush=True)"
FORK = """import os, time
    ready, told = os.pipe()
    pid = os.fork()
    (os.write(told, b"."), time.sleep(60)) if pid == 0 else (os.read(ready, 1), print(pid, flush=True))"""


def test_a_second_process_is_refused_and_told_who_holds_it(tmp_path, start):
    process = start(HOLD.format(before="pass"), tmp_path)
    assert process.stdout.readline() == "held\n"
    with pytest.raises(InputError) as error, RunLock(tmp_path):
        pass
    holder = f"process {process.pid} on {socket.gethostname()}"
    assert str(error.value) == f"{tmp_path} is in use by {holder}; wait for it to end or stop it"


def test_a_process_that_ends_lets_go(tmp_path, start):
    process = start(HOLD.format(before="pass"), tmp_path)
    process.stdout.readline()
    process.communicate()
    assert (tmp_path / "lock").read_text() == ""
    with RunLock(tmp_path):
        assert json.loads((tmp_path / "lock").read_text()) == {"pid": os.getpid(), "host": socket.gethostname()}


@pytest.mark.parametrize("before", ["print()", SPAWN, FORK], ids=["alone", "executed child", "forked child"])
def test_kill_9_lets_go_even_when_a_child_lives_on(tmp_path, start, before):
    process = start(HOLD.format(before=before), tmp_path)
    child = process.stdout.readline().strip()
    assert process.stdout.readline() == "held\n"
    process.kill()
    process.wait()
    try:
        if child:
            os.kill(int(child), 0)
        with RunLock(tmp_path):
            pass
    finally:
        if child:
            os.kill(int(child), signal.SIGKILL)


def test_a_process_cannot_hold_a_run_twice_and_the_refused_lock_stays_usable(tmp_path):
    lock = RunLock(tmp_path)
    with lock, pytest.raises(InputError, match=f"in use by process {os.getpid()} "), lock:
        pass
    with lock:
        pass


def test_a_forked_child_that_leaves_the_block_does_not_free_the_parent(tmp_path):
    with RunLock(tmp_path) as lock:
        pid = os.fork()
        if pid == 0:
            try:
                lock.__exit__(None, None, None)
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(pid, 0) == (pid, 0)
        with pytest.raises(InputError, match=f"in use by process {os.getpid()} "), RunLock(tmp_path):
            pass


def test_an_unreadable_holder_is_another_process(tmp_path):
    with RunLock(tmp_path):
        (tmp_path / "lock").write_text("[1")
        with pytest.raises(InputError, match="is in use by another process;"), RunLock(tmp_path):
            pass


def test_an_error_inside_lets_go(tmp_path):
    with pytest.raises(ZeroDivisionError), RunLock(tmp_path):
        raise ZeroDivisionError
    with RunLock(tmp_path):
        pass


def test_a_missing_folder_is_one_sentence(tmp_path):
    with pytest.raises(StarSearchError) as error, RunLock(tmp_path / "none"):
        pass
    assert str(error.value) == f"{tmp_path / 'none'} cannot be locked: No such file or directory"
