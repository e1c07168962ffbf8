"""Worker processes: results do not depend on how many there are; one that dies or hangs costs what it must and no more."""

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from multiprocessing.context import SpawnProcess
from types import SimpleNamespace

import pytest

from evolution import faulty_worker
from evolution.small_search import Listener, archive_of, make_run, search_in, small_config, stand_in_config
from star_search.analysis.timing import split_wall_time
from star_search.config import WorkersConfig
from star_search.errors import InputError, StarSearchError
from star_search.evolution import cluster, mps, workers
from star_search.evolution.workers import InProcess, Lost, Processes, Retries, build_workers, devices, worker_count
from star_search.objectives.assignment import Assessed, Assignment
from star_search.runs.records import Outcome, spent_tokens

GENOME = "11111-91111-11111-91111"


@pytest.fixture(scope="module")
def healthy(source, tmp_path_factory):
    config = small_config(source)
    run = make_run(tmp_path_factory.mktemp("healthy") / "run", config)
    assert search_in(run, config, InProcess(config)).run()
    return archive_of(run)


@pytest.fixture(params=["processes", "dask"])
def search(request, source, tmp_path, monkeypatch):
    """Return a runner of the healthy search over worker processes, with faults; it gives the run and the trainings that began."""

    def call(count, plan=None, listener=None, **changes):
        monkeypatch.setattr(workers, "_serve", faulty_worker.serve)
        monkeypatch.setattr(cluster, "_assess", faulty_worker.assess)
        monkeypatch.setenv(faulty_worker.PLAN, json.dumps({"folder": str(tmp_path), "plan": plan or {}}))
        config = small_config(source, workers={"count": count, "backend": request.param, **changes})
        run = make_run(tmp_path / "run", config)
        assert search_in(run, config, build_workers(config), reporter=listener).run()
        return run, Counter(faulty_worker.trained(tmp_path))

    call.backend = request.param
    return call


def canonical_of(archive, number):
    return archive[0][number]["canonical"]


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 4])
def test_the_archive_is_the_same_whatever_the_number_of_workers(search, healthy, count):
    listener = Listener()
    run, _ = search(count, listener=listener)
    assert archive_of(run) == healthy
    # Every candidate's worker says that it begins, and then how far it is, while it trains.
    assert {sign.worker for sign in listener.signs} == set(map(str, range(count)))
    steps = {
        number: [sign.progress and sign.progress.step for sign in listener.signs if sign.assignment.id == number] for number in range(12)
    }
    assert all(found == [None, 10, 20, 30, 32] for found in steps.values())
    assert len({record.measured["worker"] for record in run.read_candidates()[0]}) == count


@pytest.mark.slow
def test_a_worker_that_is_killed_once_costs_one_retry_and_nothing_else(search, healthy):
    victims = [canonical_of(healthy, 1), canonical_of(healthy, 6)]
    run, began = search(2, dict.fromkeys(victims, "die once"))
    assert archive_of(run) == healthy
    assert {canonical: count for canonical, count in began.items() if count != 1} == dict.fromkeys(victims, 2)
    assert [record.id for record in run.read_candidates()[0] if record.measured.get("tried_before")] == [1, 6]


@pytest.mark.slow
def test_a_device_that_is_lost_costs_one_retry_and_no_candidate_after_it(search, healthy):
    """What a GPU is asked after an illegal access fails, so that its worker is replaced."""
    run, began = search(1, {canonical_of(healthy, 1): "lose once"})
    assert archive_of(run) == healthy
    assert max(began.values()) == 2
    (record,) = [record for record in run.read_candidates()[0] if record.measured.get("tried_before")]
    lost = "cpu answers no more: RuntimeError: CUDA error: an illegal memory access was encountered"
    told = lost if search.backend == "processes" else "its worker process died"
    assert (record.id, record.measured["tried_before"]) == (1, [told])


@pytest.mark.slow
def test_a_fault_that_reaches_the_neighbours_costs_them_nothing(search, healthy, monkeypatch):
    """Clients of MPS feel a fault of any of them: all processes are replaced, and one candidate has used up its retry."""
    if search.backend == "dask":
        pytest.skip("Dask's workers have no MPS")
    monkeypatch.setattr(workers, "_service", lambda *_: SimpleNamespace(environment={}, close=list))
    run, began = search(3, {canonical_of(healthy, 1): "lose once"})
    assert archive_of(run) == healthy
    assert [record.id for record in run.read_candidates()[0] if record.measured.get("tried_before")] == [1]
    assert max(began.values()) == 2


@pytest.mark.slow
def test_what_hangs_raises_or_kills_its_worker_is_an_outcome_and_harms_nothing_beside_it(search, healthy):
    faults = ("hang", "raise", "die")
    run, began = search(2, {canonical_of(healthy, number): fault for number, fault in enumerate(faults)}, timeout=15.0)
    records, tries = run.read_candidates()[0], [began[canonical_of(healthy, number)] for number in range(4)]
    assert tries == [1, 1, 2, 1]
    hung, raised, killed, beside = records[:4]
    assert (hung.outcome, hung.reason) == (Outcome.timeout, "not finished after 15 seconds")
    assert 14.5 <= hung.measured["seconds"] < 25
    assert (raised.outcome, raised.reason) == (Outcome.crashed, "ValueError: on purpose")
    assert run.traceback_path(1).read_text().rstrip().endswith("ValueError: on purpose")
    (first,) = killed.measured["tried_before"]
    assert first in ("its worker process was killed by signal 9, as the kernel does when memory runs out", "its worker process died")
    assert (killed.outcome, killed.tokens, killed.reason) == (Outcome.crashed, 0, f"{first} for the second time")
    # Each try died after it had reported 10 steps of 64 tokens; Dask may not deliver the last report of a process that dies.
    assert spent_tokens(killed) in ((1280,) if "signal 9" in first else (0, 640, 1280))
    assert set(killed.objectives) == set(hung.objectives) == {"parameters", "cache_bytes"}
    assert beside.comparable() == healthy[0][3]
    assert run.generation_numbers() == [0, 1, 2]
    assert all(not {0, 1, 2} & set(generation.front) for generation in run.read_generations()[0])
    assert max(began.values()) == 2


def test_a_try_that_went_with_its_worker_leaves_its_tokens_and_its_time_in_the_record():
    config = stand_in_config()
    assignments = [Assignment(number, 0, GENOME, GENOME, "") for number in range(3)]
    healthy, twice, slow = (Lost(each, Outcome.crashed, "died", 2.0, steps=3, ended=10.0) for each in assignments)
    slow = replace(slow, outcome=Outcome.timeout)
    retries = Retries(config)
    assert [*retries.ended(healthy), *retries.ended(twice)] == []
    assert list(retries.waiting) == assignments[:2]
    trained = Assessed(assignments[0].record(1, Outcome.ok, "", {}, tokens=1000, measured={"seconds": 4.0, "busy": [10.0, 14.0]}))
    later = replace(twice, steps=5, ended=16.0)
    records = [each.record for event in (trained, later, slow) for each in retries.ended(event)]
    assert [record.outcome for record in records] == ["ok", "crashed", "timeout"]
    # Steps of 100 tokens; what the clock decides is in `measured` alone, so that equal runs stay equal.
    assert [(record.tokens, spent_tokens(record)) for record in records] == [(1000, 1300), (0, 800), (0, 300)]
    assert records[0].comparable() == trained.record.comparable()
    assert [record.measured.get("tried_before") for record in records] == [["died"], ["died"], None]
    split = split_wall_time(records, seconds=10.0)
    assert (split.busy_seconds, split.worker_seconds, split.workers) == (8.0, 12.0, 3)


def test_a_worker_that_cannot_start_ends_the_search(source, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "_serve", faulty_worker.end_at_once)
    config = small_config(source, workers={"count": 2})
    with pytest.raises(StarSearchError) as error:
        search_in(make_run(tmp_path / "run", config), config, Processes(config)).run()
    assert str(error.value) == "worker processes on cpu ended 3 times before they were ready: exit code 3"


def test_a_worker_that_hangs_while_it_starts_is_killed(source, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "_serve", faulty_worker.hang_at_once)
    monkeypatch.setattr(workers, "START_SECONDS", 0.3)
    config = small_config(source, workers={"count": 1})
    made = Processes(config)
    with pytest.raises(StarSearchError) as error:
        search_in(make_run(tmp_path / "run", config), config, made).run()
    assert str(error.value) == "worker processes on cpu 3 times were not ready after 0.3 seconds"
    assert not made._workers[0].process.is_alive()


@pytest.mark.slow
def test_a_worker_that_dies_before_it_is_ready_costs_nothing(source, healthy, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "_serve", faulty_worker.serve)
    monkeypatch.setenv(faulty_worker.PLAN, json.dumps({"folder": str(tmp_path), "plan": {}}))
    config = small_config(source, workers={"count": 1})
    made = Processes(config)
    made._workers[0].process.kill()
    run = make_run(tmp_path / "run", config)
    assert search_in(run, config, made).run()
    assert archive_of(run) == healthy
    assert set(Counter(faulty_worker.trained(tmp_path)).values()) == {1}


def test_workers_are_gone_when_they_are_closed(source, monkeypatch):
    monkeypatch.setattr(workers, "_serve", faulty_worker.end_at_once)
    made = Processes(small_config(source, workers={"count": 2}))
    assert len(made._workers) == 2
    made.close()
    for worker in made._workers:
        assert not worker.process.is_alive()
        with pytest.raises(ProcessLookupError):
            os.kill(worker.process.pid, 0)


def test_a_count_of_0_is_this_process(source):
    assert isinstance(build_workers(small_config(source)), InProcess)


@pytest.mark.parametrize(
    ("count", "threads", "available", "cores", "expected"),
    [
        (3, 1, ["cpu"], 16, 3),
        ("auto", 1, ["cpu"], 3, 3),
        ("auto", 4, ["cpu"], 8, 2),
        ("auto", 4, ["cpu"], 2, 1),
        ("auto", 1, ["cpu"], 64, 4),  # no more than the population
        ("auto", 1, ["cuda:0", "cuda:1"], 64, 2),
        (5, 1, ["cuda:0", "cuda:1"], 64, 5),
    ],
)
def test_auto_is_one_worker_per_gpu_or_as_many_as_the_cores_allow(source, monkeypatch, count, threads, available, cores, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cores)), raising=False)
    config = small_config(source).model_copy(update={"workers": WorkersConfig(count=count, threads=threads)})
    assert worker_count(config, available) == expected


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ({"offspring": 2}, 4),
        ({"offspring": 48}, 48),
        ({"offspring": 200}, 64),
        ({"offspring": 48, "generations": 0}, 4),
        ({"asynchronous": True}, 4),
        ({"asynchronous": True, "max_pending": 32}, 32),
        ({"asynchronous": True, "max_pending": 2}, 4),
    ],
)
def test_auto_is_no_more_than_can_train_at_once(source, monkeypatch, algorithm, expected):
    monkeypatch.setattr(workers, "available_cores", lambda: 64)
    assert worker_count(small_config(source, algorithm=algorithm, workers={"count": "auto"}), ["cpu"]) == expected


def test_several_workers_share_each_gpu_on_request(monkeypatch, source):
    """Workers take the devices in turn."""
    given = []
    monkeypatch.setattr(workers, "devices", lambda name: ["cuda:0", "cuda:1"])
    monkeypatch.setattr(Processes, "_start", lambda self, name, device: given.append(device))
    Processes(small_config(source, workers={"count": "auto", "device": "auto", "per_device": 3}))
    assert Counter(given) == {"cuda:0": 3, "cuda:1": 3}


@pytest.fixture
def shared(monkeypatch, source):
    """Give what makes two workers on one GPU, whose processes only say in which environment they begin."""
    seen = []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    monkeypatch.setattr(workers, "devices", lambda name: ["cuda:0"])
    monkeypatch.setattr(mps, "uuids", lambda: ["GPU-5"])
    monkeypatch.setattr(SpawnProcess, "start", lambda self: seen.append((os.environ.get("CUDA_VISIBLE_DEVICES"), mps.PIPE in os.environ)))

    def make(**changes):
        return Processes(small_config(source, workers={"count": "auto", "per_device": 2, "mps": True, **changes}))

    make.seen = seen
    return make


@pytest.mark.parametrize(("changes", "served"), [({}, True), ({"mps": False}, False), ({"per_device": 1}, False)])
def test_workers_that_share_a_gpu_do_by_mps_on_request(shared, daemon, changes, served):
    found = shared(**changes)
    found._workers.clear()
    found.close()
    assert set(shared.seen) == {("GPU-5", True) if served else ("5", False)}
    assert daemon.exists() == served
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "5" and mps.PIPE not in os.environ


def test_mps_that_is_not_installed_is_refused(shared, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with pytest.raises(InputError, match="needs nvidia-cuda-mps-control, which is not on the PATH"):
        shared()


def test_a_daemon_ends_with_workers_that_cannot_be_started(shared, daemon, monkeypatch):
    monkeypatch.setattr(SpawnProcess, "start", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        shared()
    assert daemon.read_text().endswith("quit -t 5\n")


@pytest.mark.parametrize(("given", "expected"), [(None, "8"), ("3", "3")])
def test_workers_share_the_cores_for_compiling(monkeypatch, source, given, expected):
    seen, name = [], workers.COMPILERS
    monkeypatch.delenv(name, raising=False) if given is None else monkeypatch.setenv(name, given)
    monkeypatch.setattr(workers, "available_cores", lambda: 32)
    monkeypatch.setattr(SpawnProcess, "start", lambda self: seen.append(os.environ[name]))
    Processes(small_config(source, workers={"count": 4}))
    assert seen == [expected] * 4
    assert os.environ.get(name) == given


KILLED = """
import multiprocessing, os, signal, sys
from star_search.config import load_configuration
from star_search.evolution.workers import surroundings
from star_search.processes import environment

def hold():
    semaphore = context.Semaphore()
    os.kill(os.getpid(), signal.SIGKILL)

context = multiprocessing.get_context("spawn")
if __name__ == "__main__":
    variables = surroundings(load_configuration("quickstart.yaml"), ["cpu"], 2)[1] if sys.argv[1:] else {}
    with environment(variables):
        process = context.Process(target=hold)
        process.start()
    process.join()
"""


@pytest.mark.parametrize(("arguments", "warnings"), [([], 1), (["surrounded"], 0)])
def test_what_a_killed_worker_leaves_behind_is_cleaned_up_in_silence(tmp_path, arguments, warnings):
    (tmp_path / "killed.py").write_text(KILLED)
    ended = subprocess.run([sys.executable, "killed.py", *arguments], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ended.stderr.count("leaked semaphore") == warnings


def test_an_mps_that_runs_already_is_left_alone(shared, monkeypatch, daemon):
    monkeypatch.setenv(mps.PIPE, "somewhere")
    shared()
    assert set(shared.seen) == {("5", True)} and not daemon.exists()


def test_cpu_is_cpu_and_a_gpu_that_is_not_there_is_refused(monkeypatch):
    import torch

    assert devices("cpu") == ["cpu"]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert devices("auto") == ["cpu"]
    for name in ("cuda", "cuda:0", "tpu", ""):
        with pytest.raises(InputError, match=r"workers\.device must be auto or cpu, as there is no GPU here, got"):
            devices(name)


def test_names_of_gpus(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(os.path, "exists", lambda path: True)
    assert devices("auto") == devices("cuda") == ["cuda:0", "cuda:1"]
    assert devices("cuda:1") == ["cuda:1"]
    for name in ("cuda:2", "cuda:-1", "cuda:x"):
        with pytest.raises(InputError):
            devices(name)
