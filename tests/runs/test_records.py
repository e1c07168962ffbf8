"""Records: equal after a round trip, refused when they could not be."""

import json
from dataclasses import replace

import pytest

from star_search.errors import StarSearchError
from star_search.runs import CandidateRecord, DamagedRecord, GenerationRecord, Outcome
from star_search.runs.records import read_record, write_record

NAN, INFINITY = float("nan"), float("inf")


def test_outcomes_are_those_of_the_design():
    assert ", ".join(Outcome) == "ok, stopped, unstable, degenerate, out_of_memory, timeout, crashed, rejected"


def test_round_trips(tmp_path, candidate, generation):
    for kind, record in ((CandidateRecord, candidate), (GenerationRecord, generation)):
        write_record(tmp_path / "a.json", record)
        assert read_record(kind, tmp_path / "a.json") == record
    write_record(tmp_path / "b.json", candidate)
    assert type(read_record(CandidateRecord, tmp_path / "b.json").outcome) is Outcome


def test_equal_records_give_equal_bytes_and_floats_keep_their_bits(tmp_path, candidate):
    record = replace(candidate, objectives={"perplexity": 0.1 + 0.2, "tiny": 5e-324})
    for name in "ab":
        write_record(tmp_path / name, record)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert read_record(CandidateRecord, tmp_path / "a").objectives == {"perplexity": 0.30000000000000004, "tiny": 5e-324}


def test_comparable_leaves_out_what_was_measured_and_nothing_else(candidate, generation):
    for record in (candidate, generation):
        slower = replace(record, measured={"seconds": 99.0})
        assert slower != record
        assert slower.comparable() == record.comparable()
        assert replace(record, tokens=1).comparable() != record.comparable()
        assert set(record.comparable()) == {*record.__dataclass_fields__} - {"measured"}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"objectives": {"perplexity": NAN}}, "objectives.perplexity must be finite, got nan"),
        ({"details": {"curve": [1.0, [INFINITY]]}}, "details.curve[1][0] must be finite, got inf"),
        ({"measured": {"seconds": -INFINITY}}, "measured.seconds must be finite, got -inf"),
        ({"details": {"pair": (1, 2)}}, "details.pair must be plain JSON data, got (1, 2)"),
        ({"details": {"by": {1: 2}}}, "the keys of details.by must be text, got 1"),
        ({"id": -1}, "id must be a whole number of at least 0, got -1"),
        ({"id": True}, "id must be a whole number of at least 0, got True"),
        ({"tokens": 1.5}, "tokens must be a whole number of at least 0, got 1.5"),
        ({"outcome": "lost"}, f"outcome must be one of {', '.join(Outcome)}, got 'lost'"),
        ({"objectives": {"perplexity": "7"}}, "objectives must be numbers by name, got {'perplexity': '7'}"),
        ({"objectives": {"perplexity": None}}, "objectives must be numbers by name, got {'perplexity': None}"),
        ({"reason": None}, "reason must be text, got None"),
        ({"lineage": []}, "lineage must be values by name, got []"),
        ({"measured": {"lost_tokens": "7"}}, "measured.lost_tokens must be a whole number of at least 0, got '7'"),
    ],
)
def test_writing_refuses_what_could_not_be_read_back(tmp_path, candidate, change, sentence):
    path = tmp_path / "00003.json"
    with pytest.raises(StarSearchError) as error:
        write_record(path, replace(candidate, **change))
    assert str(error.value) == f"{path}: {sentence}"
    assert not path.exists()


@pytest.mark.parametrize("field", CandidateRecord.__dataclass_fields__)
def test_every_field_of_a_candidate_is_asked_for_and_checked(tmp_path, candidate, field):
    _expect_refusal_without(tmp_path / "a.json", candidate, field)


@pytest.mark.parametrize("field", GenerationRecord.__dataclass_fields__)
def test_every_field_of_a_generation_is_asked_for_and_checked(tmp_path, generation, field):
    _expect_refusal_without(tmp_path / "a.json", generation, field)


def _expect_refusal_without(path, record, field):
    write_record(path, record)
    whole = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in whole.items() if name != field}))
    with pytest.raises(DamagedRecord) as error:
        read_record(type(record), path)
    assert str(error.value) == f"{path}: {field} is missing"
    path.write_text(json.dumps({**whole, field: None}))
    with pytest.raises(DamagedRecord, match=f"a.json: {field} must be .*, got None"):
        read_record(type(record), path)


@pytest.mark.parametrize(
    ("field", "value"),
    [("front", [0, -1]), ("front", [0.5]), ("outcomes", {"ok": 1.5}), ("outcomes", {"ok": -1}), ("rates", {"repair": True})],
)
def test_numbers_inside_a_generation_are_checked(tmp_path, generation, field, value):
    with pytest.raises(DamagedRecord, match=f"a.json: {field} must be "):
        write_record(tmp_path / "a.json", replace(generation, **{field: value}))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none_are_refused_on_reading(tmp_path, candidate, number):
    path = tmp_path / "00003.json"
    write_record(path, candidate)
    path.write_text(path.read_text().replace("7.25", number))
    with pytest.raises(DamagedRecord, match=r"00003\.json"):
        read_record(CandidateRecord, path)


def test_no_truncation_is_ever_taken_for_a_record(tmp_path, candidate):
    path = tmp_path / "00003.json"
    write_record(path, candidate)
    whole = path.read_bytes()
    for length in range(whole.rindex(b"}")):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedRecord, match=r"00003\.json is damaged: no complete JSON"):
            read_record(CandidateRecord, path)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"[]", "must hold a JSON object, got list"),
        (b'{"a": "\xff"}', "no UTF-8 text at byte 7"),
        (b"[" * 100_000, "no complete JSON"),
        (b"\0" * 64, "no complete JSON"),
    ],
)
def test_other_damage_is_one_sentence(tmp_path, data, sentence):
    path = tmp_path / "00003.json"
    path.write_bytes(data)
    with pytest.raises(DamagedRecord) as error:
        read_record(CandidateRecord, path)
    assert str(error.value).startswith(f"{path} is damaged: {sentence}")


def test_a_folder_in_place_of_a_record_is_one_sentence(tmp_path):
    with pytest.raises(DamagedRecord) as error:
        read_record(CandidateRecord, tmp_path)
    assert str(error.value) == f"{tmp_path} cannot be read: Is a directory"
