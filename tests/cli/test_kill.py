"""`evolve` killed, interrupted and started twice: what is resumed ends as if nothing had happened."""

import json
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.conftest import run_command, write_configuration
from evolution.faulty_worker import MARK, PLAN, trained
from evolution.small_search import archive_of
from star_search.runs.directory import RunDirectory

TESTS = Path(__file__).parents[1]
PROGRAM = [sys.executable, "-c", "from evolution.faulty_worker import main; main()"]


@dataclass
class Evolve:
    """A search in a process of its own, whose training steps leave a mark."""

    process: subprocess.Popen
    marks: Path

    def wait_for_training(self) -> None:
        """Return once a training has begun."""
        self.wait_until(lambda: any(path.stat().st_size for path in self.marks.iterdir()))

    def wait_for_a_step(self) -> None:
        self.wait_until(self.in_step)

    def in_step(self) -> bool:
        """Return whether a process is, or was when it was killed, inside a training step."""
        return any(path.read_bytes() == b"1" for path in self.marks.iterdir())

    def wait_until(self, holds) -> None:
        end = time.monotonic() + 60
        while not holds():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < end
            time.sleep(0.0005)

    def children(self) -> list[int]:
        return [int(pid) for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def evolve(tmp_path):
    """Start `star-search evolve` in a session of its own; whatever still runs is killed after the test."""
    started = []

    def start(*arguments, **variables) -> Evolve:
        marks = tmp_path / f"marks-{len(started)}"
        marks.mkdir()
        environment = os.environ | {"PYTHONPATH": str(TESTS), MARK: str(marks)} | variables
        command = [*PROGRAM, "evolve", *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(Evolve(subprocess.Popen(command, env=environment, start_new_session=True, **pipes), marks))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.communicate()


@pytest.fixture(scope="module")
def longer(tmp_path_factory, source):
    """A configuration of sixteen candidates of a quarter of a second, and what an uninterrupted run of it leaves."""
    folder = tmp_path_factory.mktemp("longer")
    path = write_configuration(folder, source, algorithm={"generations": 3}, training={"tokens": 8192})
    assert run_command("evolve", "--config", path, "--run-dir", folder / "run", "--quiet").code == 0
    return path, RunDirectory.open(folder / "run")


def assert_equal(path, expected):
    """The two runs agree in every record, in what `inspect` prints, and in every bit of the weights that are kept."""
    run = RunDirectory.open(path)
    assert archive_of(run) == archive_of(expected)
    assert run_command("inspect", path, "--json").out == run_command("inspect", expected.path, "--json").out
    for weights in (expected.path / "weights").iterdir():
        assert (run.path / "weights" / weights.name).read_bytes() == weights.read_bytes()


@pytest.fixture(scope="module")
def longer_asynchronous(tmp_path_factory, longer):
    """What an uninterrupted asynchronous run of the same configuration leaves."""
    folder = tmp_path_factory.mktemp("asynchronous")
    assert run_command("evolve", "--config", longer[0], "--run-dir", folder / "run", "--quiet", "--async").code == 0
    return RunDirectory.open(folder / "run")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("workers", "seed", "options"),
    [(0, 1, ()), (2, 2, ()), (2, 3, ("--async",)), (2, 4, ("--async", "--set", "workers.backend=dask"))],
)
def test_killed_at_three_random_instants_it_ends_with_the_same_archive(
    evolve, longer, longer_asynchronous, tmp_path, workers, seed, options
):
    configuration, expected = longer[0], longer_asynchronous if "--async" in options else longer[1]
    arguments = ("--config", configuration, "--run-dir", tmp_path / "run", f"--workers={workers}", "--quiet", "--resume", *options)
    chance, inside = random.Random(seed), 0
    for number in range(3):
        search = evolve(*arguments)
        if number in (0, 2):
            search.wait_for_training()
            time.sleep(chance.uniform(0, 0.7))
            search.wait_for_a_step()
        else:
            time.sleep(chance.uniform(0.3, 4.0))
        search.kill()
        assert search.process.returncode == -signal.SIGKILL
        inside += search.in_step()
    # How many of the kills hit a training step is up to the machine; some must.
    assert inside >= 1
    done = len(list((tmp_path / "run" / "candidates").glob("*.json")))
    assert done < 16
    last = evolve(*arguments)
    assert last.process.communicate() == ("", "")
    assert last.process.returncode == 0
    assert_equal(tmp_path / "run", expected)


@pytest.mark.slow
def test_no_worker_outlives_a_driver_that_is_killed(evolve, longer, tmp_path):
    """Not even workers that hang, and so never learn that their pipe is closed."""
    configuration, expected = longer
    plan = dict.fromkeys((record.canonical for record in expected.read_candidates()[0]), "hang")
    variables = {PLAN: json.dumps({"folder": str(tmp_path), "plan": plan})}
    search = evolve("--config", configuration, "--run-dir", tmp_path / "run", "--workers=2", "--quiet", **variables)
    search.wait_until(lambda: len(trained(tmp_path)) == 2)
    workers = [pid for pid in search.children() if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert len(workers) == 2
    search.kill()
    end = time.monotonic() + 5
    while (left := [pid for pid in workers if alive(pid)]) and time.monotonic() < end:
        time.sleep(0.01)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_ctrl_c_exits_130_and_prints_the_command_that_continues(evolve, longer, tmp_path, workers):
    """A terminal sends SIGINT to every process of the group."""
    configuration, expected = longer
    search = evolve("--config", configuration, "--run-dir", tmp_path / "run", f"--workers={workers}")
    search.wait_for_training()
    time.sleep(0.5)
    search.wait_for_a_step()
    os.killpg(search.process.pid, signal.SIGINT)
    out, err = search.process.communicate(timeout=20)
    assert (search.process.returncode, err) == (130, "")
    command = re.search(r"^interrupted; candidates in training were discarded. Continue with:\n  (.*)\n\Z", out, re.MULTILINE)[1]
    run = RunDirectory.open(tmp_path / "run")
    assert run.read_events()[-1]["event"] == "interrupted"
    assert len(run.read_candidates()[0]) < 16
    assert shlex.split(command)[:2] == ["star-search", "evolve"]
    assert run_command(*shlex.split(command)[1:], "--workers", "0").code == 0
    assert_equal(tmp_path / "run", expected)


@pytest.mark.slow
def test_a_second_search_in_one_folder_is_refused(evolve, longer, tmp_path):
    configuration, expected = longer
    search = evolve("--config", configuration, "--run-dir", tmp_path / "run", "--workers=0", "--quiet")
    search.wait_for_training()
    arguments = ("evolve", "--config", configuration, "--run-dir", tmp_path / "run")
    resumed, anew = run_command(*arguments, "--resume").sentence(), run_command(*arguments).sentence()
    assert search.process.communicate() == ("", "")
    assert re.fullmatch(rf"{tmp_path}/run is in use by process {search.process.pid} on \S+; wait for it to end or stop it", resumed)
    assert anew == f"{tmp_path}/run holds a run already; --resume continues it"
    assert_equal(tmp_path / "run", expected)


@pytest.mark.slow
def test_on_a_terminal_the_search_is_drawn_and_generations_stay(tmp_path, longer):
    """A pseudo terminal: progress is drawn with control characters, and lines of text remain."""
    import pty

    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "120"}
    program = [sys.executable, "-m", "star_search.cli", "evolve", "--config", str(longer[0]), "--run-dir", str(tmp_path / "run")]
    changes = ["--set", "algorithm.generations=0", "--set", "training.tokens=2048"]
    process = subprocess.Popen([*program, *changes], stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    seen = b""
    while True:
        try:
            seen += os.read(ours, 65536)
        except OSError:
            break
    assert process.wait() == 0
    text = seen.decode()
    assert "\x1b[" in text
    assert "Workers" in text and "Front so far: " in text
    assert "generation 0: front of " in text
    assert "Traceback" not in text


@pytest.mark.slow
def test_killed_while_the_text_is_prepared_and_while_candidates_train_it_ends_with_the_same_archive(evolve, tmp_path, monkeypatch):
    """On two workers, with a text of 8 MB that two processes tokenise."""
    source = tmp_path / "long.jsonl"
    lines = (json.dumps({"text": f"{number} " + "the cat sat on the mat. " * 200}) for number in range(1750))
    source.write_text("\n".join(lines) + "\n")
    changes = {"source": str(source), "validation_fraction": 0.1, "tokenizer": "embedded-bpe-4096"}
    configuration = write_configuration(tmp_path, source, algorithm={"generations": 1}, training={"tokens": 8192}, data=changes)
    arguments = ("--config", configuration, "--workers=2", "--quiet", "--resume", "--run-dir")
    expected = evolve(*arguments, tmp_path / "expected", STAR_SEARCH_CACHE=str(tmp_path / "cache 0"))
    assert expected.process.communicate() == ("", "")

    cache = tmp_path / "cache 1"
    search = evolve(*arguments, tmp_path / "run", STAR_SEARCH_CACHE=str(cache))
    search.wait_until(lambda: any(cache.glob(".*.building/parts/*/*.tokens")))
    search.kill()
    assert not (tmp_path / "run").exists()
    assert [path.name for path in cache.iterdir() if not path.name.startswith(".")] == []
    search = evolve(*arguments, tmp_path / "run", STAR_SEARCH_CACHE=str(cache))
    search.wait_for_training()
    search.kill()
    assert len(list((tmp_path / "run" / "candidates").glob("*.json"))) < 8
    last = evolve(*arguments, tmp_path / "run", STAR_SEARCH_CACHE=str(cache))
    assert last.process.communicate() == ("", "")
    assert_equal(tmp_path / "run", RunDirectory.open(tmp_path / "expected"))
