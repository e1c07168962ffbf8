"""The script that measures trainings side by side: every count is measured repeat by repeat, and its MPS daemon ends with it."""

import json
import os
import subprocess
import sys

from scripts.conftest import SCRIPTS

TINY = ["--devices", "cpu", "--width", "32", "--vocabulary", "97", "--length", "16", "--batch-tokens", "128", "--steps", "2"]


def run(*options, path=None):
    environment = {**os.environ, "PATH": path or os.environ["PATH"]}
    command = [sys.executable, str(SCRIPTS / "measure_packing.py"), *TINY, *map(str, options)]
    return subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=300)


def test_a_tiny_run_measures_every_count_as_often_as_asked(daemon, tmp_path):
    sizes = (
        "--genome",
        "11111-51111",
        "--engine",
        "eager",
        "--repeats",
        3,
        "--streams",
        "1,2",
        "--processes",
        "2",
        "--mps",
        "--out",
        tmp_path / "out.json",
    )
    ended = run(*sizes)
    assert ended.returncode == 0, ended.stderr
    report = json.loads((tmp_path / "out.json").read_text())
    speeds = report.pop("tokens_per_second")
    assert {name: {count: len(each) for count, each in row.items()} for name, row in speeds.items()} == {
        "streams": {"1": 3, "2": 3},
        "processes": {"2": 3},
    }
    assert all(min(each) > 0 for row in speeds.values() for each in row.values())
    assert (list(report), report["mps"]) == (["environment", "devices", "setting", "mps", "genome"], True)
    assert (report["genome"], report["setting"]["engine"]) == ("11111-51111", "eager")
    assert daemon.read_text() == "-d\nget_server_list\nquit -t 5\n"


def test_a_process_that_fails_ends_the_run_and_its_daemon(daemon, tmp_path):
    ended = run("--depth", 0, "--streams", "", "--processes", "2", "--mps")
    assert (ended.returncode, ended.stderr.splitlines()[-1]) == (1, "one of the processes failed; see above")
    assert daemon.read_text() == "-d\nget_server_list\nquit -t 5\n"


def test_mps_that_is_not_installed_is_told():
    ended = run("--mps", path="/usr/bin:/bin")
    assert ended.returncode == 2
    assert ended.stderr.endswith("--mps needs nvidia-cuda-mps-control, which is not on the PATH\n")
