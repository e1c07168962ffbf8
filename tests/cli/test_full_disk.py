"""`evolve` on a disk that is really full, a small tmpfs in a mount namespace of its own, and stays so for longer than is waited."""

import os
import subprocess
import sys

import pytest

from cli.conftest import run_command
from evolution.small_search import archive_of
from star_search.runs.directory import RunDirectory

NAMESPACE = ["unshare", "--map-root-user", "--mount"]
# Room for the run's own files and the weights of some candidates, about 24 kB each, but not for all of gen00.
ON_A_SMALL_DISK = 'mount -t tmpfs -o size=100k tmpfs disk || exit 99; "$@"; code=$?; cp -a disk/run .; exit $code'


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_disk_that_stays_full_ends_the_search_in_a_sentence_and_loses_nothing(here, configuration, finished, workers):
    try:
        subprocess.run([*NAMESPACE, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no disk of a test's own: mount namespaces are not permitted")
    (here / "disk").mkdir()
    search = ["evolve", "--config", configuration, "--quiet", f"--workers={workers}", "--set", "workers.disk_timeout=0.6"]
    command = [sys.executable, "-m", "star_search.cli", *map(str, search), "--run-dir", "disk/run"]
    ended = subprocess.run([*NAMESPACE, "sh", "-c", ON_A_SMALL_DISK, "sh", *command], capture_output=True, text=True, env=os.environ)
    assert (ended.returncode, ended.stdout) == (1, ""), ended
    (sentence,) = ended.stderr.splitlines()
    assert sentence.startswith("star-search: ") and sentence.endswith(" cannot be written: No space left on device")

    kept = {record.id: record for record in RunDirectory.open(here / "run").read_candidates()[0]}
    assert 1 <= len(kept) < 4
    resumed = run_command("evolve", "--resume", "--run-dir", "run", "--quiet", "--workers=0")
    assert (resumed.code, resumed.out, resumed.err) == (0, "", "")
    run = RunDirectory.open(here / "run")
    assert archive_of(run) == archive_of(finished)
    assert {record.id: record for record in run.read_candidates()[0] if record.id in kept} == kept
