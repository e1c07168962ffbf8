"""The event log: order kept, torn lines harmless."""

from datetime import UTC, datetime

import pytest

from star_search.errors import StarSearchError
from star_search.runs.log import append_line, read_lines


def test_events_come_back_in_order_with_time_and_fields(tmp_path):
    path = tmp_path / "log.jsonl"
    before = datetime.now(UTC)
    append_line(path, "start", seed=3, text="two\nlines")
    append_line(path, "end")
    start, end = read_lines(path)
    assert before <= datetime.fromisoformat(start.pop("time")) <= datetime.fromisoformat(end.pop("time"))
    assert (start, end) == ({"event": "start", "seed": 3, "text": "two\nlines"}, {"event": "end"})


def test_no_log_is_no_events(tmp_path):
    assert read_lines(tmp_path / "log.jsonl") == []


def test_a_tear_at_any_byte_costs_its_own_event_only(tmp_path):
    path = tmp_path / "log.jsonl"
    append_line(path, "first")
    kept = path.stat().st_size
    append_line(path, "second")
    whole = path.read_bytes()
    for length in range(kept, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert [event["event"] for event in read_lines(path)] == ["first"]
        append_line(path, "third")
        assert [event["event"] for event in read_lines(path)] == ["first", "third"]


@pytest.mark.parametrize("value", [float("nan"), {1}])
def test_what_json_lacks_is_refused(tmp_path, value):
    with pytest.raises(StarSearchError, match=r"log\.jsonl: event loss cannot be written as JSON: "):
        append_line(tmp_path / "log.jsonl", "loss", value=value)
    assert read_lines(tmp_path / "log.jsonl") == []


def test_a_field_cannot_replace_the_time(tmp_path):
    with pytest.raises(StarSearchError, match="'time'"):
        append_line(tmp_path / "log.jsonl", "start", time=0)


def test_a_log_that_cannot_be_written_is_one_sentence(tmp_path):
    path = tmp_path / "gone" / "log.jsonl"
    with pytest.raises(StarSearchError) as error:
        append_line(path, "start")
    assert str(error.value) == f"{path} cannot be written: No such file or directory"
