"""However a corpus is cut into chunks, parts, buckets, shards and processes, its store is the same."""

import json
from pathlib import Path

import numpy as np
import pytest

from data.conftest import write_lines
from star_search.config import DataConfig
from star_search.data import layout, reading, tokens
from star_search.data.split import SPLITS
from star_search.data.store import TokenStore, prepare


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Four hundred documents of 40 to 440 bytes in three files; every tenth stands twice, once in another file."""
    folder = tmp_path / "source"
    texts = [f"{k} " + "some words " * (4 + k % 37) for k in range(400)]
    for number, name in enumerate(("alpha", "beta", "gamma")):
        mine = texts[number::3] + (texts[::10] if name == "gamma" else [])
        write_lines(folder / f"{name}.jsonl", [{"text": text} for text in mine])
    return folder


def _config(source: Path, **changes: object) -> DataConfig:
    values = {"source": str(source), "validation_fraction": 0.2, "test_fraction": 0.1, "tokenizer": "embedded-bpe-4096"}
    return DataConfig.model_validate(values | changes)


def _content(store: TokenStore) -> dict[str, object]:
    arrays = {split: (store.split(split)[:].tolist(), store.split(split).documents().tobytes()) for split in SPLITS}
    return arrays | {name: store.index[name] for name in ("splits", "duplicates_dropped", "left_out", "subsets")}


def test_chunks_buckets_and_shards_do_not_show(source, tmp_path, monkeypatch):
    expected = _content(prepare(_config(source), tmp_path / "one"))
    assert expected["duplicates_dropped"] == 40
    monkeypatch.setattr(reading, "CHUNK_BYTES", 1000)
    monkeypatch.setattr(reading, "CHUNK_ROWS", 4)
    monkeypatch.setattr(layout, "_BUCKET_TOKENS", 500)
    monkeypatch.setattr(layout, "_ROWS_IN_MEMORY", 50)
    monkeypatch.setattr(layout, "SHARD_TOKENS", 1000)
    store = prepare(_config(source), tmp_path / "two")
    assert _content(store) == expected
    assert len(list(store.folder.glob("train-0*.npy"))) > 5
    places = np.array([[0, 999, 1000], [1001, 2500, 5]])
    assert np.array_equal(store.train[places], store.train[:][places])


def test_the_number_of_processes_does_not_show(source, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "CHUNK_BYTES", 3000)
    for number, changes in enumerate([{}, {"tokens": 4000}, {"tokens": 4000, "subsets": {"alpha": 1.0, "gamma": 3.0}}]):
        stores = [prepare(_config(source, **changes), tmp_path / f"{number}-{count}", processes=count) for count in (1, 2)]
        assert _content(stores[0]) == _content(stores[1])


def test_of_equal_documents_the_first_read_is_kept(source, tmp_path):
    write_lines(tmp_path / "twice" / "a.jsonl", [{"text": "same words"}, {"text": "other words"}])
    write_lines(tmp_path / "twice" / "b.jsonl", [{"text": "same words"}] * 3)
    store = prepare(_config(tmp_path / "twice"), tmp_path / "cache")
    assert store.index["duplicates_dropped"] == 3
    counts = [store.index["splits"][split]["subsets"].get("a", {"documents": 0})["documents"] for split in SPLITS]
    assert sum(counts) == 2


def test_a_held_out_source_gives_validation_and_test_and_takes_its_documents_from_train(source, tmp_path):
    held_out = [{"text": f"held out {k} " + "words " * 9} for k in range(60)]
    write_lines(tmp_path / "held.jsonl", [*held_out, {"text": json.loads((source / "alpha.jsonl").read_text().splitlines()[0])["text"]}])
    store = prepare(_config(source, held_out_source=str(tmp_path / "held.jsonl"), tokens=10_000_000), tmp_path / "cache")
    counts = {split: store.index["splits"][split]["documents"] for split in SPLITS}
    assert counts["train"] == 399 and counts["validation"] + counts["test"] == 61
    assert counts["validation"] > counts["test"] > 5
    keys = {split: set(map(tuple, store.split(split).documents()["key"].tolist())) for split in SPLITS}
    assert not keys["train"] & (keys["validation"] | keys["test"]) and not keys["validation"] & keys["test"]


def test_a_budget_is_kept_to_a_document_and_taken_from_every_file(source, tmp_path):
    store = prepare(_config(source, tokens=4000), tmp_path / "cache")
    assert 4000 <= sum(store.index["splits"][split]["tokens"] for split in SPLITS) < 4000 + 9 * 130
    assert set(store.index["splits"]["train"]["subsets"]) == {"alpha", "beta", "gamma"}


def test_shards_are_refused_when_one_is_missing(tmp_path):
    writer = tokens.TokensWriter(tmp_path, "train", np.dtype(np.uint16), 10, 4)
    writer.write(np.arange(10, dtype=np.uint16))
    writer.close()
    np.save(tokens.documents_path(tmp_path, "train"), np.array([(10, (0, 0), 0)], tokens.DOCUMENT))
    assert tokens.SplitTokens(tmp_path, "train", 10, np.dtype(np.uint16), 4)[:].tolist() == list(range(10))
    with pytest.raises(ValueError, match=r"train-00002\.npy is damaged"):
        tokens.SplitTokens(tmp_path, "train", 11, np.dtype(np.uint16), 4)
    (tmp_path / "train-00001.npy").unlink()
    with pytest.raises(OSError, match=r"train-00001\.npy"):
        tokens.SplitTokens(tmp_path, "train", 10, np.dtype(np.uint16), 4)
