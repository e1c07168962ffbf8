"""The run directory: created whole or not at all, killed at any instant, read whatever was damaged."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from star_search.errors import InputError, StarSearchError
from star_search.runs import RunDirectory, RunLock

LEFTOVER = f".00007.json.{'0' * 32}.tmp"

KILLED_CREATE = """
import os, signal, sys
from pathlib import Path
from star_search.runs import RunDirectory
moment, remaining = sys.argv[2], int(sys.argv[3])
replace = Path.replace
def dying_replace(source, target):
    global remaining
    remaining -= 1
    if moment == "after" and not remaining:
        replace(source, target)
    if not remaining:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(source, target)
Path.replace = dying_replace
RunDirectory.create(Path(sys.argv[1]), "killed", "a: 1\\n", {"seed": 0})
"""

WRITE_FOREVER = """
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from conftest import CANDIDATE, GENERATION
from star_search.runs import RunDirectory
run = RunDirectory.open(Path(sys.argv[1]))
with run.writing():
    for id in count(len(run.read_candidates()[0])):
        run.append_event("candidate", id=id)
        run.write_candidate(replace(CANDIDATE, id=id, reason="x" * 20_000))
        run.write_generation(replace(GENERATION, generation=id))
        print(id, flush=True)
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_new_run_holds_what_it_was_given(tmp_path):
    run = RunDirectory.create(tmp_path / "deep" / "er" / "x", "quick", "a: 1\r\n", {"seed": 7})
    assert RunDirectory.open(run.path) == run
    assert (run.name, run.config_yaml, run.provenance) == ("quick", "a: 1\r\n", {"seed": 7})
    assert (run.read_candidates(), run.read_generations(), run.read_events()) == (([], []), ([], []), [])
    identity = json.loads((run.path / "run.json").read_text())
    assert list(identity) == ["schema", "name", "created", "created_ns"]
    assert datetime.fromisoformat(identity["created"]).utcoffset().total_seconds() == 0
    assert round(datetime.fromisoformat(identity["created"]).timestamp() * 1e6) == identity["created_ns"] // 1000


def test_the_package_loads_none_of_the_heavy_libraries():
    code = "import sys, star_search.runs; print(sorted({'torch', 'numpy', 'pymoo', 'yaml', 'pydantic'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_create_refuses_a_run_a_file_and_a_folder_with_anything_in_it(tmp_path, run):
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "config.yaml").write_text("the user's own")
    for path, sentence in {
        run.path: "holds a run already; --resume continues it",
        tmp_path / "file": "is a file; a run needs a new or empty folder",
        tmp_path / "full": "is not empty and holds no run; a run needs a new or empty folder",
        tmp_path / "file" / "x": "cannot be made: Not a directory",
    }.items():
        with pytest.raises(InputError) as error:
            RunDirectory.create(path, "quick", "new", {})
        assert str(error.value) == f"{path} {sentence}"
    assert run.config_yaml == "name: quick\n"
    assert names(tmp_path / "full") == ["config.yaml"]


def test_create_refuses_a_folder_where_another_process_creates(tmp_path):
    with RunLock(tmp_path), pytest.raises(InputError, match=f"in use by process {os.getpid()} "):
        RunDirectory.create(tmp_path, "quick", "", {})


def test_of_two_creations_the_second_is_refused(tmp_path, monkeypatch):
    class SlowLock(RunLock):
        def __enter__(self):
            monkeypatch.undo()
            RunDirectory.create(tmp_path, "faster", "", {})
            return super().__enter__()

    monkeypatch.setattr("star_search.runs.directory.RunLock", SlowLock)
    with pytest.raises(InputError, match="holds a run already"):
        RunDirectory.create(tmp_path, "slower", "", {})
    assert RunDirectory.open(tmp_path).name == "faster"


def test_candidates_without_run_json_are_not_created_over(run, candidate):
    run.write_candidate(candidate)
    (run.path / "run.json").unlink()
    with pytest.raises(InputError, match="is not empty and holds no run"):
        RunDirectory.create(run.path, "quick", "", {})


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_killed_create_leaves_no_run_or_a_whole_one(tmp_path, start, moment):
    states = []
    for step in (1, 2, 3):
        path = tmp_path / str(step)
        assert start(KILLED_CREATE, path, moment, step).wait() == -9
        states.append((path / "run.json").exists())
        if states[-1]:
            run = RunDirectory.open(path)
            assert (run.name, run.config_yaml, run.provenance) == ("killed", "a: 1\n", {"seed": 0})
        else:
            with pytest.raises(InputError, match=r"is no run: it has no run\.json"):
                RunDirectory.open(path)
            assert RunDirectory.create(path, "again", "b: 2\n", {}).config_yaml == "b: 2\n"
        RunDirectory.open(path).clean_leftovers()
        assert names(path) == ["config.yaml", "lock", "provenance.json", "run.json"]
    assert states == [False, False, moment == "after"]


def test_open_names_what_is_wrong(tmp_path, run):
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    for path, sentence in {
        tmp_path / "none": "does not exist",
        tmp_path / "file": "is a file, not a run folder",
        tmp_path / "empty": "is no run: it has no run.json",
    }.items():
        with pytest.raises(InputError) as error:
            RunDirectory.open(path)
        assert str(error.value) == f"{path} {sentence}"


@pytest.mark.parametrize(
    ("identity", "sentence"),
    [
        ('{"schema": 2, "later": 1}', "has schema version 2, this star-search reads version 1"),
        ('{"schema": "x"}', "has schema version 'x', this star-search reads version 1"),
        ("{}", "has schema version None, this star-search reads version 1"),
        ('{"schema": 1, "name": "x"}', "damaged: name must be text and created_ns a whole number, got 'x' and None"),
        ("{", r"run\.json is damaged: no complete JSON"),
    ],
)
def test_open_refuses_other_schemas_and_damage(run, identity, sentence):
    (run.path / "run.json").write_text(identity)
    with pytest.raises(InputError, match=sentence):
        RunDirectory.open(run.path)


def test_candidates_are_read_in_the_order_of_their_ids(run, candidate):
    records = [replace(candidate, id=id) for id in (0, 2, 99_999, 100_000)]
    for record in reversed(records):
        run.write_candidate(record)
    assert run.read_candidates() == (records, [])


def test_damaged_candidates_are_named_and_the_rest_returned(run, candidate):
    for id in range(6):
        run.write_candidate(replace(candidate, id=id))
    folder = run.path / "candidates"
    (folder / "00001.json").write_bytes((folder / "00001.json").read_bytes()[:100])
    (folder / "00002.json").write_text("{}")
    (folder / "00003.json").write_bytes((folder / "00004.json").read_bytes())
    (folder / "00005.json").unlink()
    (folder / "00005.json").mkdir()
    records, problems = run.read_candidates()
    assert [record.id for record in records] == [0, 4]
    assert [problem.startswith(f"{folder}/0000{id}.json") for id, problem in zip((1, 2, 3, 5), problems, strict=True)] == [True] * 4
    assert problems[1].endswith("00002.json: id is missing")
    assert problems[2].endswith(f"00003.json is damaged: by its number it belongs in {folder / '00004.json'}")


def test_generations_likewise(run, generation):
    for number in (0, 1, 2, 100):
        run.write_generation(replace(generation, generation=number))
    (run.path / "gen03").mkdir()
    (run.path / "gen01" / "generation.json").write_text("{}")
    records, problems = run.read_generations()
    assert [record.generation for record in records] == [0, 2, 100]
    assert problems == [f"{run.path}/gen01/generation.json: generation is missing"]
    assert run.generation_numbers() == [0, 1, 2, 100]


def test_other_files_are_no_candidates(run, candidate):
    run.write_candidate(candidate)
    run.write_traceback(3, "Traceback:\n")
    for name in (LEFTOVER, "notes.json", "7.json", "000007.json"):
        (run.path / "candidates" / name).write_text("{")
    assert run.read_candidates() == ([candidate], [])
    assert (run.path / "candidates" / "00003.traceback.txt").read_text() == "Traceback:\n"


def test_opening_for_writing_locks_and_removes_leftovers_everywhere(run, candidate, generation):
    run.write_candidate(candidate)
    run.write_generation(generation)
    folders = [run.path, run.path / "candidates", run.path / "gen01"]
    for folder in folders:
        (folder / LEFTOVER).touch()
    with run.writing():
        assert [folder for folder in folders if (folder / LEFTOVER).exists()] == []
        with pytest.raises(InputError, match="is in use by"), run.writing():
            pass
    assert run.read_candidates() == ([candidate], [])


def test_a_refused_writer_removes_nothing(run):
    with run.writing():
        (run.path / LEFTOVER).touch()
        with pytest.raises(InputError), run.writing():
            pass
        assert (run.path / LEFTOVER).exists()


def test_a_nan_is_refused_and_the_old_record_stays(run, candidate):
    run.write_candidate(candidate)
    with pytest.raises(StarSearchError, match=r"objectives\.perplexity must be finite, got nan"):
        run.write_candidate(replace(candidate, objectives={"perplexity": float("nan")}))
    assert run.read_candidates() == ([candidate], [])


def test_weights_outside_the_front_are_deleted(run):
    run.prune_weights({1})
    (run.path / "weights").mkdir()
    for id in (0, 1, 2):
        run.weights_path(id).touch()
    (run.path / "weights" / "mine.safetensors").touch()
    run.prune_weights({1, 5})
    assert names(run.path / "weights") == ["00001.safetensors", "mine.safetensors"]


def test_an_extended_run_keeps_its_identity(run):
    run.update_config("b: 2\n")
    run.update_provenance({"seed": 1})
    reopened = RunDirectory.open(run.path)
    assert (reopened, reopened.config_yaml, reopened.provenance) == (run, "b: 2\n", {"seed": 1})


def test_a_missing_configuration_is_one_sentence(run):
    (run.path / "config.yaml").unlink()
    with pytest.raises(StarSearchError) as error:
        _ = run.config_yaml
    assert str(error.value) == f"{run.path}/config.yaml cannot be read: No such file or directory"


def test_events(run):
    run.append_event("start", seed=1)
    with (run.path / "log.jsonl").open("a") as file:
        file.write('{"time": "2')
    run.append_event("end")
    assert [event["event"] for event in run.read_events()] == ["start", "end"]


def test_kill_9_at_any_instant_leaves_every_record_readable(run, candidate, start):
    known = 0
    for step in range(5):
        process = start(WRITE_FOREVER, run.path, Path(__file__).parent)
        for line in process.stdout:
            if int(line) >= known + 3 + step:
                break
        process.kill()
        told = int(([line, *process.stdout.read().split()])[-1]) + 1
        process.wait()
        records, problems = run.read_candidates()
        assert problems == []
        assert told <= len(records) <= told + 1
        assert records == [replace(candidate, id=id, reason="x" * 20_000) for id in range(len(records))]
        generations, problems = run.read_generations()
        assert problems == []
        assert told <= len(generations) <= len(records)
        assert {event["id"] for event in run.read_events()} >= set(range(len(records)))
        known = len(records)
    with run.writing():
        assert [path for path in run.path.rglob(".*") if path.name.endswith(".tmp")] == []
