"""Preparation killed, damaged and begun again."""

import os
import signal
import subprocess
import sys
import time
from multiprocessing import active_children
from pathlib import Path

import pytest

from data.conftest import write_lines
from star_search.config import DataConfig
from star_search.data import tokenise
from star_search.data.split import SPLITS
from star_search.data.store import prepare
from star_search.errors import StarSearchError

ROOT = Path(__file__).parents[2]
KILLED = """
import sys
from pathlib import Path
from star_search.config import DataConfig
from star_search.data import reading
from star_search.data.store import prepare
reading.CHUNK_BYTES = 20_000
if __name__ == "__main__":
    prepare(DataConfig(source=sys.argv[1], tokenizer="embedded-bpe-4096"), Path(sys.argv[2]), processes=2)
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    for name in ("a", "b"):
        write_lines(folder / f"{name}.jsonl", [{"text": f"{name} {k} " + "words and more words " * 60} for k in range(1500)])
    return folder


def _parts(cache: Path) -> list[Path]:
    return sorted(cache.glob(".*.building/parts/*/*-*.json"))


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on_where_it_was_and_leaves_no_process(source, tmp_path, monkeypatch):
    monkeypatch.setattr("star_search.data.reading.CHUNK_BYTES", 20_000)
    program = tmp_path / "program.py"
    program.write_text(KILLED)
    cache = tmp_path / "cache"
    command = [sys.executable, str(program), str(source), str(cache)]
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)})
    end = time.monotonic() + 60
    while len(_parts(cache)) < 20 and time.monotonic() < end:
        assert process.poll() is None
        time.sleep(0.002)
    children = [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    process.kill()
    assert process.wait() == -signal.SIGKILL
    while any(map(_alive, children)) and time.monotonic() < end:
        time.sleep(0.01)
    assert children and not any(map(_alive, children))
    kept = {path: path.stat().st_mtime_ns for path in _parts(cache)}
    assert len(kept) >= 20

    tokenised = []
    write_json = tokenise.write_json
    monkeypatch.setattr(tokenise, "write_json", lambda path, value: (tokenised.append(path), write_json(path, value)))
    config = DataConfig(source=str(source), tokenizer="embedded-bpe-4096")
    resumed, undisturbed = prepare(config, cache, processes=1), prepare(config, tmp_path / "other", processes=1)
    assert not set(tokenised) & set(kept)
    assert len({path.name for path in tokenised}) > 20
    for split in SPLITS:
        assert resumed.split(split)[:].tobytes() == undisturbed.split(split)[:].tobytes()
        assert resumed.split(split).documents().tobytes() == undisturbed.split(split).documents().tobytes()
    assert resumed.index == undisturbed.index


def test_what_is_skipped_is_counted_and_named_in_the_store_whatever_the_processes(tmp_path, monkeypatch):
    monkeypatch.setattr("star_search.data.reading.CHUNK_BYTES", 500)
    path = tmp_path / "source" / "x.jsonl"
    write_lines(path, [{"text": f"{k} " + "words " * 5} if k % 10 else {"text": "" if k % 20 else 7} for k in range(200)])
    indices = []
    for processes in (1, 2):
        config = DataConfig.model_validate({"source": str(path), "damaged": "skip", "tokenizer": "embedded-bpe-4096"})
        indices.append(prepare(config, tmp_path / str(processes), processes=processes).index)
    assert indices[0] == indices[1]
    assert indices[0]["skipped"] == {"empty": 10, "no_text": 10}
    assert indices[0]["skipped_first"][:2] == [f"{path} line 1 has no `text`", f"{path} line 11 has an empty text"]
    assert len(indices[0]["skipped_first"]) == 20


def test_the_first_damage_is_named_whatever_the_processes(tmp_path, monkeypatch):
    monkeypatch.setattr("star_search.data.reading.CHUNK_BYTES", 500)
    path = tmp_path / "x.jsonl"
    write_lines(path, [{"text": f"{k} " + "words " * 5} if k not in (60, 90) else {} for k in range(200)])
    config = DataConfig(source=str(path), tokenizer="embedded-bpe-4096")
    for processes in (1, 2):
        with pytest.raises(Exception, match=r"x\.jsonl line 61 has no `text`; data\.damaged\.no_text: skip passes over it"):
            prepare(config, tmp_path / "cache", processes=processes)
    assert list((tmp_path / "cache").iterdir()) == []


def test_damage_beyond_the_budget_does_not_count_whatever_the_processes(tmp_path, monkeypatch):
    monkeypatch.setattr("star_search.data.reading.CHUNK_BYTES", 500)
    path = tmp_path / "x.jsonl"
    write_lines(path, [{"text": f"{k} " + "words " * 5} if k != 70 else {} for k in range(200)])
    counts = []
    for processes in (1, 2):
        config = DataConfig(source=str(path), tokenizer="embedded-bpe-4096", tokens=300)
        counts.append(prepare(config, tmp_path / str(processes), processes=processes).index["splits"])
    assert counts[0] == counts[1]


def test_progress_goes_from_nothing_to_all(source, tmp_path, monkeypatch):
    monkeypatch.setattr("star_search.data.reading.CHUNK_BYTES", 200_000)
    told = []
    store = prepare(DataConfig(source=str(source)), tmp_path / "cache", report=lambda done, tokens: told.append((done, tokens)))
    assert told == sorted(told) and len(told) > 5
    assert told[-1] == (1.0, sum(store.index["splits"][split]["tokens"] for split in SPLITS))


def test_a_tokenising_process_that_dies_is_one_sentence_and_the_next_try_goes_on(source, tmp_path, monkeypatch):
    monkeypatch.setattr("star_search.data.reading.CHUNK_BYTES", 50_000)
    config = DataConfig(source=str(source), tokenizer="embedded-bpe-4096")

    def kill_one(done: float, tokens: int) -> None:
        for process in active_children()[:1]:
            process.kill()

    with pytest.raises(StarSearchError) as caught:
        prepare(config, tmp_path / "cache", processes=2, report=kill_one)
    assert str(caught.value) == "a process that tokenises died, as when memory runs out; the same command goes on"
    assert _parts(tmp_path / "cache") and active_children() == []
    expected = prepare(config, tmp_path / "other", processes=1)
    assert prepare(config, tmp_path / "cache", processes=1).train[:].tobytes() == expected.train[:].tobytes()
