import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from star_search.config import DataConfig
from star_search.data.corpus import read_documents
from star_search.data.store import default_cache_folder, prepare
from star_search.errors import StarSearchError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config(corpus):
    return DataConfig(source=str(corpus), validation_fraction=0.25)


def _documents(store, split):
    *documents, rest = store.tokenizer.decode(getattr(store, split)).split("<|endoftext|>")
    assert rest == ""
    return documents


def test_every_document_stands_once_and_ends_with_the_end_of_text(config):
    store = prepare(config)
    train, validation = _documents(store, "train"), _documents(store, "validation")
    assert sorted(train + validation) == sorted([f"document {k} é" for k in range(20)] + [f"other {k}" for k in range(20)])
    assert validation and len(train) > len(validation)
    assert store.index["duplicates_dropped"] == 1


def test_subsets_mix_and_the_seed_shuffles(config):
    first = _documents(prepare(config), "train")
    second = _documents(prepare(config.model_copy(update={"seed": 1})), "train")
    assert first != second and sorted(first) == sorted(second)
    changes = sum(a[0] != b[0] for a, b in pairwise(first))
    assert changes > len(first) / 4


def test_the_index_counts_what_the_arrays_hold(config):
    store = prepare(config)
    for split, tokens in (("train", store.train), ("validation", store.validation)):
        counts = store.index["splits"][split]
        assert counts["tokens"] == len(tokens) == counts["bytes"] + counts["documents"]
        assert counts["documents"] == np.count_nonzero(tokens == 256)
        assert counts["bytes"] == store.byte_count(tokens) == sum(part["bytes"] for part in counts["subsets"].values())
        assert set(counts["subsets"]) == {"alpha", "beta"}
    assert store.index["schema_version"] == 1
    assert store.index["fingerprint"] == store.fingerprint


def test_bytes_are_counted_alike_by_every_tokenizer(config):
    stores = [prepare(config.model_copy(update={"tokenizer": name})) for name in ("bytes", "embedded-bpe-4096")]
    assert stores[0].byte_count(stores[0].train) == stores[1].byte_count(stores[1].train)
    assert [store.vocabulary_size for store in stores] == [257, 4096]
    assert len(stores[0].train) > len(stores[1].train)


def test_arrays_are_mapped_and_cannot_be_written(config):
    store = prepare(config)
    assert isinstance(store.train, np.memmap) and store.train.dtype == np.uint16
    with pytest.raises(ValueError, match="read-only"):
        store.train[0] = 1


def test_an_empty_split_is_opened_again(tmp_path, cache_folder):
    (tmp_path / "x.jsonl").write_text('{"text": "one"}\n')
    config = DataConfig(source=str(tmp_path / "x.jsonl"), validation_fraction=0.001)
    assert len(prepare(config).validation) == len(prepare(config).validation) == 0


def test_the_fingerprint_follows_all_that_determines_the_tokens(config, corpus):
    changes = [{"seed": 1}, {"validation_fraction": 0.3}, {"subsets": ["beta"]}, {"tokenizer": "embedded-bpe-4096"}]
    prints = {prepare(config.model_copy(update=change)).fingerprint for change in [{}, *changes]}
    assert len(prints) == 5
    with (corpus / "z.jsonl").open("a") as stream:
        stream.write('{"text": "new"}\n')
    assert prepare(config).fingerprint not in prints


def test_the_fingerprint_ignores_where_the_source_lies_and_what_is_not_data(config, corpus, tmp_path):
    before = prepare(config).fingerprint
    corpus.rename(tmp_path / "moved")
    moved = config.model_copy(update={"source": str(tmp_path / "moved"), "validation_tokens": 9})
    assert prepare(moved).fingerprint == before


def _count_builds(monkeypatch):
    builds = []
    monkeypatch.setattr("star_search.data.store.read_documents", lambda config: builds.append(1) or read_documents(config))
    return builds


def test_a_corpus_is_tokenised_once(config, cache_folder, monkeypatch):
    builds = _count_builds(monkeypatch)
    first, second = prepare(config), prepare(config)
    assert builds == [1]
    assert np.array_equal(first.train, second.train)
    assert [path.name for path in cache_folder.iterdir()] == [first.fingerprint]
    assert sorted(path.name for path in (cache_folder / first.fingerprint).iterdir()) == ["index.json", "train.npy", "validation.npy"]


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-4])


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("index.json", Path.unlink),
        ("index.json", lambda path: path.write_text("{")),
        ("index.json", lambda path: path.write_text("[]")),
        ("index.json", lambda path: path.write_text(path.read_text().replace('"fingerprint": "', '"fingerprint": "0'))),
        ("train.npy", Path.unlink),
        ("train.npy", _truncate),
        ("train.npy", lambda path: path.write_bytes(b"")),
        ("validation.npy", lambda path: np.save(path, np.zeros(3, np.uint16))),
        ("validation.npy", lambda path: path.write_bytes(b"\0" * 500)),
    ],
)
def test_a_damaged_store_is_rebuilt(config, cache_folder, monkeypatch, name, damage):
    store = prepare(config)
    train, validation = np.array(store.train), np.array(store.validation)
    damage(cache_folder / store.fingerprint / name)
    builds = _count_builds(monkeypatch)
    for _ in range(2):
        again = prepare(config)
        assert np.array_equal(again.train, train) and np.array_equal(again.validation, validation)
    assert builds == [1]
    assert [path.name for path in cache_folder.iterdir()] == [store.fingerprint]


def test_a_failure_midway_leaves_nothing(config, corpus, cache_folder):
    with (corpus / "z.jsonl").open("a") as stream:
        stream.write("not json\n")
    with pytest.raises(StarSearchError, match=r"z\.jsonl is damaged: line 22 is not JSON"):
        prepare(config)
    assert list(cache_folder.iterdir()) == []


def test_a_process_that_comes_second_uses_the_same_store(config, cache_folder, monkeypatch):
    first = []

    def overtaken(config):
        monkeypatch.setattr("star_search.data.store.read_documents", read_documents)
        first.append(prepare(config))
        return read_documents(config)

    monkeypatch.setattr("star_search.data.store.read_documents", overtaken)
    second = prepare(config)
    assert np.array_equal(first[0].train, second.train) and np.array_equal(first[0].validation, second.validation)
    assert [path.name for path in cache_folder.iterdir()] == [second.fingerprint]


@pytest.mark.slow
def test_processes_that_start_together_agree(config, cache_folder):
    code = f"from star_search.config import DataConfig; from star_search.data.store import prepare; prepare({config!r})"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    processes = [subprocess.Popen([sys.executable, "-c", code], env=environment) for _ in range(3)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]
    assert [path.name for path in cache_folder.iterdir()] == [prepare(config).fingerprint]


KILLED = """
import os, signal, sys
from star_search.config import DataConfig
from star_search.data import store
from pathlib import Path
place = sys.argv[2]
def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
if place == "before the index": Path.write_text = die
if place == "before the rename": Path.rename = die
if place == "after the rename":
    rename = Path.rename
    Path.rename = lambda self, target: (rename(self, target), die())
store.prepare(DataConfig(source=sys.argv[1], validation_fraction=0.25))
"""


@pytest.mark.parametrize("place", ["before the index", "before the rename", "after the rename"])
def test_a_kill_leaves_a_whole_store_or_none(config, cache_folder, place):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", KILLED, config.source, place], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    stores = [path for path in cache_folder.iterdir() if not path.name.startswith(".")]
    assert len(stores) == (place == "after the rename")
    assert len(_documents(prepare(config), "train")) + len(_documents(prepare(config), "validation")) == 40


def test_a_warm_start_does_not_import_datasets(config):
    prepare(config)
    code = (
        "import sys\n"
        "from star_search.config import DataConfig\n"
        "from star_search.data.store import prepare\n"
        f"prepare(DataConfig(source={config.source!r}, validation_fraction=0.25))\n"
        "print([name for name in ('datasets', 'tokenizers', 'torch', 'pymoo') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_an_unwritable_cache_is_one_sentence(config, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StarSearchError) as caught:
        prepare(config, cache_folder=tmp_path / "file")
    assert str(caught.value) == (
        f"the token cache {tmp_path / 'file'} cannot be written (Not a directory); set STAR_SEARCH_CACHE to a folder that can"
    )
    assert (tmp_path / "file").read_text() == "mine"


def test_the_cache_lies_where_the_environment_says(monkeypatch, tmp_path):
    assert default_cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("STAR_SEARCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache_folder() == tmp_path / "xdg" / "star-search"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache_folder() == tmp_path / ".cache" / "star-search"


@pytest.mark.slow
def test_the_embedded_sample_has_the_tokens_it_had():
    store = prepare(DataConfig())
    assert (len(store.train), len(store.validation)) == (10_788_138, 539_801)
    assert store.index["splits"]["train"]["documents"] == 1474
    assert store.index["splits"]["validation"]["documents"] == 77
    assert store.index["duplicates_dropped"] == 0
