"""Damaged values in records: one sentence each, the rest is shown."""

import json
import shutil
from dataclasses import replace

import pytest

from star_search.analysis.run_view import RunView
from star_search.errors import InputError
from star_search.runs.directory import RunDirectory
from star_search.runs.records import Outcome


@pytest.fixture
def copy(stored_run, tmp_path):
    return RunDirectory.open(shutil.copytree(stored_run.path, tmp_path / "copy"))


def change(path, field, **values):
    found = json.loads(path.read_text())
    path.write_text(json.dumps(found | {field: found[field] | values}))


@pytest.mark.parametrize(
    ("field", "values", "sentence"),
    [
        ("details", {"curve": [[1]]}, "details.curve must be a list of steps with their losses, got [[1]]"),
        ("details", {"curve": [[1, None]]}, "details.curve must be a list of steps with their losses, got [[1, None]]"),
        ("details", {"curve": "x"}, "details.curve must be a list of steps with their losses, got 'x'"),
        ("details", {"subsets": [1]}, "details.subsets must be perplexity and tokens by subset, got [1]"),
        ("details", {"subsets": {"a": {}}}, "details.subsets must be perplexity and tokens by subset, got {'a': {}}"),
        ("details", {"validation_loss": "x"}, "details.validation_loss must be a number, got 'x'"),
        ("measured", {"busy": [1]}, "measured.busy must be a beginning and an end in seconds, got [1]"),
        ("measured", {"seconds": "x"}, "measured.seconds must be a number, got 'x'"),
        ("objectives", {"parameters": 10**400}, "objectives.parameters must be a number, got 100"),
    ],
)
def test_what_no_search_writes_of_a_candidate_is_named(copy, field, values, sentence):
    number = RunView.read(copy).front[0].id
    change(copy.candidate_path(number), field, **values)
    view = RunView.read(copy)
    assert view.damaged[0].startswith(f"{copy.candidate_path(number)} is damaged: {sentence}")
    assert len(view.damaged) == 1 and number not in view.by_id and len(view.records) == 29


def test_a_front_member_that_is_not_ok_is_named_and_left_out(copy):
    record = RunView.read(copy).front[0]
    copy.write_candidate(replace(record, outcome=Outcome.crashed, objectives={}))
    view = RunView.read(copy)
    assert view.damaged == [f"{copy.generation_path(4)} is damaged: front holds candidate {record.id}, which is crashed"]
    assert record.id not in [each.id for each in view.front] and len(view.progress) == 5


def test_a_generation_without_its_rates_is_left_out(copy):
    path = copy.generation_path(2)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"rates": {}}))
    view = RunView.read(copy)
    assert view.damaged == [f"{path} is damaged: rates has no repair_rate"]
    assert [each.generation for each in view.progress] == [0, 1, 3, 4]


def test_a_loss_of_the_unigram_that_is_no_number_is_one_sentence(copy):
    copy.update_provenance(copy.provenance | {"unigram_loss": "x"})
    with pytest.raises(InputError, match=r"unigram_loss must be a finite number of at least 0, got 'x'$"):
        _ = RunView.read(copy).provenance


@pytest.mark.parametrize("damage", [{"details": {"curve": [[1]]}}, {"outcome": "crashed", "objectives": {}}])
def test_the_same_damage_ends_every_command_alike(copy, tmp_path, monkeypatch, damage):
    from cli.conftest import run_command

    monkeypatch.chdir(tmp_path)
    path = copy.candidate_path(RunView.read(copy).front[0].id)
    path.write_text(json.dumps(json.loads(path.read_text()) | damage))
    commands = [["inspect"], ["motifs", "--permutations", 99], ["report"]]
    ended = [run_command(name, copy.path, *options) for name, *options in commands]
    assert [each.code for each in ended] == [2] * 3
    assert len({each.err for each in ended}) == 1 and "is damaged: " in ended[0].err
