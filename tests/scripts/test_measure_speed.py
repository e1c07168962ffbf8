"""The script that measures speed: it covers every class, stops what takes too long, and measures nothing twice."""

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from helpers import STAR
from scripts.conftest import loaded

SCRIPT = Path(__file__).parents[2] / "scripts/measure_speed.py"


@pytest.fixture(scope="module")
def script():
    with loaded("measure_speed") as module:
        yield module


def test_every_class_that_mixes_tokens_is_measured_once(script):
    commands = [options for _, options in script.mixes(tiny=False)]
    names = [name for options in commands if options[0] == "--classes" for name in options[1].split(",")]
    assert sorted(names) == sorted({each.name for each in STAR.classes.values()} - {"GMemless", "GMemless-GELU", "GMemless-ReLU"})


def test_what_takes_too_long_is_stopped_with_its_own_processes(script, tmp_path):
    job = script.Job("slow", ["bash", "-c", "sleep 60 & echo $!; wait"], 1, None)
    assert script.run(job, tmp_path / "slow", tmp_path).startswith("stopped after 1 s")
    child = int((tmp_path / "slow/output.txt").read_text())
    end = time.monotonic() + 10  # The kernel needs a moment for the process that was killed.
    while runs(child):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_process_that_is_stopped_may_end_what_it_started(script, tmp_path):
    job = script.Job("slow", ["bash", "-c", "trap 'echo ended; exit' TERM; sleep 60 & wait"], 1, None)
    assert script.run(job, tmp_path / "slow", tmp_path).startswith("stopped after 1 s")
    assert (tmp_path / "slow/output.txt").read_text() == "ended\n"


def test_told_to_end_it_ends_what_it_measures(tmp_path):
    process = subprocess.Popen([sys.executable, SCRIPT, "--out", tmp_path, "--parts", "mixes", "--tiny", "--device", "cpu"])
    end = time.monotonic() + 60
    while not (measured := processes_about(tmp_path) - {process.pid}):
        assert time.monotonic() < end
        time.sleep(0.05)
    process.terminate()
    assert process.wait(60) == 1
    while any(map(runs, measured)):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_mps_is_left_out_where_there_is_no_gpu(script):
    jobs = {device: script.parts(tiny=True, device=device)["packing"] for device in ("cpu", "cuda")}
    assert {device: [job.name for job in each] for device, each in jobs.items()} == {"cpu": ["packing"], "cuda": ["packing", "mps"]}


def runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def processes_about(folder):
    """Return the processes that have a folder in their command."""
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            if str(folder).encode() in (path / "cmdline").read_bytes():
                found.add(int(path.name))
    return found


def test_a_failure_is_told(script, tmp_path):
    assert script.run(script.Job("ill", [sys.executable, "-c", "1 / 0"], 20, None), tmp_path / "ill", tmp_path).startswith("exit code 1")


def test_a_tiny_run_leaves_its_figures_and_is_not_repeated(tmp_path):
    def run():
        command = [sys.executable, SCRIPT, "--out", tmp_path, "--parts", "growth", "--tiny", "--device", "cpu"]
        return subprocess.run([*map(str, command)], check=True, capture_output=True, text=True).stdout

    assert "growth growth  done" in run()
    before = (tmp_path / "growth/growth/result.json").read_text()
    assert "growth growth  was there already" in run()
    assert (tmp_path / "growth/growth/result.json").read_text() == before


def test_an_unknown_part_is_refused(tmp_path):
    ended = subprocess.run([sys.executable, SCRIPT, "--out", str(tmp_path), "--parts", "all"], check=False, capture_output=True, text=True)
    assert ended.returncode == 2
    assert "unknown part 'all'; allowed: large, mixes" in ended.stderr
