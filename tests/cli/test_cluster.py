"""`evolve` on a Dask scheduler in a process of its own, as docs/cluster.md has it: the same archive, also when it is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli.conftest import run_command, write_configuration
from evolution.small_search import archive_of
from star_search.runs.directory import RunDirectory

pytest.importorskip("distributed")


def started(name: str, *arguments: object) -> subprocess.Popen:
    command = [sys.executable, "-c", f"from distributed.cli.{name} import main; main()", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


@pytest.fixture
def cluster(tmp_path):
    """Return a starter of a scheduler and two worker processes; all are gone after the test."""
    processes = []

    def start(*more: str) -> tuple[subprocess.Popen, Path]:
        file = tmp_path / f"scheduler-{len(processes)}.json"
        scheduler = started("dask_scheduler", "--scheduler-file", file, "--port", "0", "--no-dashboard")
        options = more or ("--nthreads", "1")
        workers = started("dask_worker", "--scheduler-file", file, "--nworkers", "2", "--no-dashboard", *options)
        processes.extend([scheduler, workers])
        end = time.monotonic() + 60
        while not file.exists() and time.monotonic() < end:
            time.sleep(0.05)
        return scheduler, file

    yield start
    for process in processes:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def whole(tmp_path_factory, source):
    """A configuration of sixteen candidates of a quarter of a second, and what an uninterrupted run of it leaves."""
    folder = tmp_path_factory.mktemp("whole")
    path = write_configuration(folder, source, algorithm={"generations": 3}, training={"tokens": 8192})
    assert run_command("evolve", "--config", path, "--run-dir", folder / "run", "--quiet").code == 0
    return path, RunDirectory.open(folder / "run")


def arguments(config: Path, run: Path, scheduler: object) -> list[str]:
    options = {"--config": config, "--run-dir": run, "--workers": "auto", "--scheduler": scheduler}
    return ["evolve", "--quiet", "--resume", *(str(part) for pair in options.items() for part in pair)]


@pytest.mark.slow
def test_a_scheduler_that_is_killed_ends_the_search_in_a_sentence_and_another_one_finishes_it(cluster, whole, tmp_path):
    path, expected = whole
    scheduler, file = cluster()
    run = tmp_path / "run"
    program = [sys.executable, "-m", "star_search.cli", *arguments(path, run, file)]
    search = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 90
    while len(list(run.glob("candidates/*.json"))) < 5:
        assert search.poll() is None and time.monotonic() < end, search.communicate()
        time.sleep(0.01)
    scheduler.kill()
    out, err = search.communicate(timeout=90)
    assert (search.returncode, out) == (1, "")
    assert err == "star-search: the Dask scheduler is gone; resume once there is one again\n"
    assert 5 <= len(RunDirectory.open(run).read_candidates()[0]) < 16
    _, another = cluster()
    ended = run_command(*arguments(path, run, another))
    assert ended.code == 0, ended
    assert archive_of(RunDirectory.open(run)) == archive_of(expected)


@pytest.mark.slow
def test_workers_with_more_than_one_thread_are_refused(cluster, whole, tmp_path):
    from distributed import Client

    _, file = cluster("--nthreads", "2")
    with Client(scheduler_file=str(file)) as client:
        client.wait_for_workers(2, timeout=60)
    ended = run_command(*arguments(whole[0], tmp_path / "run", file))
    assert ended.code == 2
    assert "has 2 threads; start workers with --nthreads 1" in ended.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "none.json", "nonsense"])
def test_a_scheduler_that_is_not_there_is_one_sentence(command, whole, tmp_path, monkeypatch, address):
    from star_search.evolution import cluster

    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.5)
    ended = command(*arguments(whole[0], tmp_path / "run", address))
    assert ended.code == 2
    assert ended.err.startswith(
        f"star-search: workers.scheduler {address} must be the address or the JSON file of a running Dask scheduler"
    )
    assert ended.err.count("\n") == 1
    assert not (tmp_path / "run").exists()
