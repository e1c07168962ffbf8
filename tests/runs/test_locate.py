"""Which run a path means."""

import json
import os
from pathlib import Path

import pytest

from star_search.errors import InputError
from star_search.runs import locate, newest_run, numbered_folder


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as error:
        locate(path)
    return str(error.value)


def test_folders_are_numbered_from_two(tmp_path):
    names = []
    for _ in range(3):
        folder = numbered_folder(tmp_path, "quick")
        folder.mkdir()
        names.append(folder.name)
    (tmp_path / "quick-2").rmdir()
    assert [*names, numbered_folder(tmp_path, "quick").name] == ["quick", "quick-2", "quick-3", "quick-2"]
    assert numbered_folder(tmp_path / "none", "quick") == tmp_path / "none" / "quick"


def test_the_newest_run_is_that_created_last_whatever_its_name_or_times(tmp_path, make_run):
    first, second = make_run("b", "quick"), make_run("a", "slow")
    os.utime(first.path / "run.json")
    assert newest_run(tmp_path / "runs") == second
    assert newest_run(tmp_path / "runs", "quick") == first


def test_a_name_is_that_of_the_configuration_not_of_the_folder(tmp_path, make_run):
    make_run("quick", "slow")
    with pytest.raises(InputError) as error:
        newest_run(tmp_path / "runs", "quick")
    assert str(error.value) == f"{tmp_path / 'runs'} holds no run of configuration quick"


def test_no_run_is_one_sentence(tmp_path):
    (tmp_path / "notes").mkdir()
    for root in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError) as error:
            newest_run(root)
        assert str(error.value) == f"{root} holds no run"


def test_a_run_of_another_version_is_passed_over_unless_it_is_the_only_one(tmp_path, make_run):
    old, later = make_run("old"), make_run("later")
    (later.path / "run.json").write_text(json.dumps({"schema": 9}))
    assert newest_run(tmp_path / "runs") == old
    (old.path / "run.json").unlink()
    with pytest.raises(InputError, match="later has schema version 9"):
        newest_run(tmp_path / "runs")


def test_a_run_folder_means_the_run(make_run):
    run = make_run("gen7")
    assert locate(run.path) == (run, None)


def test_a_generation_folder_means_that_generation_of_that_run(make_run):
    run = make_run("old", generations=4)
    make_run("newest", generations=1)
    assert locate(run.path / "gen03") == locate(run.path / "gen3") == (run, 3)


def test_a_generation_of_the_root_is_that_of_the_newest_run(tmp_path, make_run):
    make_run("old", generations=19)
    run = make_run("newest", generations=4)
    assert locate(tmp_path / "runs" / "gen3") == locate(tmp_path / "runs" / "gen03") == (run, 3)
    assert refusal(tmp_path / "runs" / "gen18") == f"{run.path} has only generations 0 to 3, not 18"


def test_relative_paths(make_run, monkeypatch):
    run = make_run("x", generations=2)
    monkeypatch.chdir(run.path.parent)
    assert locate(Path("gen01"))[1] == 1
    monkeypatch.chdir(run.path / "gen01")
    assert locate(Path()) == (run, 1)


def test_a_generation_counts_once_its_record_exists(make_run):
    run = make_run("x")
    (run.path / "gen00").mkdir()
    assert refusal(run.path / "gen00") == f"{run.path} has no finished generation yet, so no generation 0"


def test_paths_that_mean_no_run(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    assert refusal(tmp_path / "none") == f"{tmp_path / 'none'} does not exist"
    assert refusal(tmp_path / "none" / "gen01") == f"{tmp_path / 'none' / 'gen01'} does not exist"
    assert refusal(tmp_path / "file") == f"{tmp_path / 'file'} is a file, not a run folder"
    assert refusal(tmp_path / "folder") == f"{tmp_path / 'folder'} is no run: it has no run.json"
    assert refusal(tmp_path / "folder" / "gen01") == f"{tmp_path / 'folder'} holds no run"
