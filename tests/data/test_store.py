import json
import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from data.conftest import count_builds, truncate, write_lines
from star_search.config import DataConfig
from star_search.data.fingerprint import content_identity
from star_search.data.sources import local_files
from star_search.data.split import SPLITS
from star_search.data.store import default_cache_folder, find, prepare, validation_tokens
from star_search.data.stream import TokenStream
from star_search.data.tokenizer import load_tokenizer
from star_search.errors import InputError, StarSearchError

ROOT = Path(__file__).parents[2]


def _documents(store, split):
    *documents, rest = store.tokenizer.decode(store.split(split)[:]).split("<|endoftext|>")
    assert rest == ""
    return documents


def test_every_document_stands_once_and_ends_with_the_end_of_text(config):
    store = prepare(config)
    train, validation, test = (_documents(store, split) for split in SPLITS)
    assert sorted(train + validation + test) == sorted([f"document {k} é" for k in range(20)] + [f"other {k}" for k in range(20)])
    assert test and len(train) > len(validation) > len(test)
    assert store.index["duplicates_dropped"] == 1


def test_subsets_mix_and_the_seed_shuffles(config):
    first = _documents(prepare(config), "train")
    second = _documents(prepare(config.model_copy(update={"seed": 1})), "train")
    assert first != second and sorted(first) == sorted(second)
    changes = sum(a[0] != b[0] for a, b in pairwise(first))
    assert changes > len(first) / 4


def test_the_index_counts_what_the_arrays_hold(config):
    store = prepare(config)
    for split in SPLITS:
        counts, tokens = store.index["splits"][split], store.split(split)[:]
        assert counts["tokens"] == len(tokens) == counts["bytes"] + counts["documents"]
        assert counts["documents"] == np.count_nonzero(tokens == 256)
        assert counts["bytes"] == np.count_nonzero(tokens != 256) == sum(part["bytes"] for part in counts["subsets"].values())
        assert set(counts["subsets"]) == {"alpha", "beta"}
        table = store.split(split).documents()
        assert table["end"].tolist() == (np.flatnonzero(tokens == 256) + 1).tolist()
        assert [store.subsets[subset] for subset in table["subset"]] == [
            "alpha" if text.startswith("document") else "beta" for text in _documents(store, split)
        ]
    assert store.index["fingerprint"] == store.fingerprint


def test_bytes_are_counted_alike_by_every_tokenizer(config):
    stores = [prepare(config.model_copy(update={"tokenizer": name})) for name in ("bytes", "embedded-bpe-4096")]
    counts = [TokenStream(store, 16, 1, 0).validation_batches(10**9, 1).count_bytes for store in stores]
    assert abs(counts[0] - counts[1]) < 80  # Less than the sequence that is cut off.
    assert [store.vocabulary_size for store in stores] == [257, 4096]
    assert len(stores[0].train) > len(stores[1].train)


def test_bytes_are_those_of_the_text_where_the_tokenizer_normalises(tmp_path):
    definition = json.loads(load_tokenizer("bytes").to_json()) | {"normalizer": {"type": "NFC"}}
    (tmp_path / "nfc.json").write_text(json.dumps(definition))
    decomposed = "e\u0301"  # Three bytes, and two once it is one letter.
    write_lines(tmp_path / "texts.jsonl", [{"text": f"{k:02d}" + decomposed * 10} for k in range(60)])
    config = DataConfig(source=str(tmp_path / "texts.jsonl"), validation_fraction=0.4, tokenizer=str(tmp_path / "nfc.json"))
    store = prepare(config)
    counts = store.index["splits"]["validation"]["subsets"]["texts"]
    assert (counts["bytes"], counts["token_bytes"]) == (counts["documents"] * 32, counts["documents"] * 22)
    batches = TokenStream(store, 23, 1, 0).validation_batches(23 * 4, rows=1)  # A document and its end are 23 tokens.
    assert batches.count_tokens == 23 * 4
    assert abs(batches.count_bytes - 4 * 32) <= 2
    assert batches.by_subset(np.zeros(92))["texts"][2] == batches.count_bytes


def test_a_source_with_nothing_left_is_refused(tmp_path):
    write_lines(tmp_path / "x.jsonl", [{"text": ""}, {"text": ""}, {"other": "a"}])
    config = DataConfig.model_validate({"source": str(tmp_path / "x.jsonl"), "validation_fraction": 0.1, "damaged": "skip"})
    with pytest.raises(InputError, match=r"x\.jsonl has no document left; what was skipped: empty 2, no_text 1$"):
        prepare(config)


def test_a_store_of_another_source_is_not_opened_for_a_source_that_is_not_there(config, tmp_path):
    named = config.model_copy(update={"store": str(tmp_path / "tokens")})
    prepare(named)
    Path(config.source).rename(tmp_path / "moved")
    assert len(prepare(named).train)  # What it was made of is gone; the tokens are there.
    for update in ({"source": f"{config.source}x"}, {"held_out_source": str(tmp_path / "nowhere")}):
        with pytest.raises(InputError, match="does not exist"):
            prepare(named.model_copy(update=update))


def test_arrays_are_mapped_and_cannot_be_written(config):
    store = prepare(config)
    tokens = store.train[:]
    assert isinstance(tokens, np.memmap) and tokens.dtype == np.uint16
    with pytest.raises(ValueError, match="read-only"):
        tokens[0] = 1


def test_an_empty_split_is_opened_again(tmp_path, cache_folder):
    (tmp_path / "x.jsonl").write_text('{"text": "one"}\n')
    config = DataConfig(source=str(tmp_path / "x.jsonl"), validation_fraction=0.001)
    assert len(prepare(config).validation) == len(prepare(config).validation) == 0


def test_the_fingerprint_follows_all_that_determines_the_tokens(config, corpus):
    changes = [
        {"seed": 1},
        {"validation_fraction": 0.3},
        {"test_fraction": 0.2},
        {"subsets": ["beta"]},
        {"subsets": {"beta": 1.0}},
        {"tokenizer": "embedded-bpe-4096"},
        {"tokens": 100},
        {"longest_document_bytes": 100},
        {"held_out_source": str(corpus / "z.jsonl")},
    ]
    prints = {prepare(config.model_copy(update=change)).fingerprint for change in [{}, *changes]}
    assert len(prints) == 10
    with (corpus / "z.jsonl").open("a") as stream:
        stream.write('{"text": "new"}\n')
    assert prepare(config).fingerprint not in prints


def test_the_fingerprint_ignores_where_the_source_lies_and_what_is_not_data(config, corpus, tmp_path):
    before = prepare(config).fingerprint
    corpus.rename(tmp_path / "moved")
    moved = config.model_copy(update={"source": str(tmp_path / "moved"), "validation_tokens": 9})
    assert prepare(moved).fingerprint == before


def test_a_corpus_is_tokenised_once(config, cache_folder, monkeypatch):
    builds = count_builds(monkeypatch)
    first, second = prepare(config), prepare(config)
    assert builds == [1]
    assert np.array_equal(first.train, second.train)
    assert [path.name for path in cache_folder.iterdir()] == [first.fingerprint]
    expected = ["index.json", *(f"{split}-{part}.npy" for split in sorted(SPLITS) for part in ("00000", "documents"))]
    assert sorted(path.name for path in (cache_folder / first.fingerprint).iterdir()) == expected


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("index.json", Path.unlink),
        ("index.json", lambda path: path.write_text("{")),
        ("index.json", lambda path: path.write_text("[]")),
        ("train-00000.npy", Path.unlink),
        ("train-00000.npy", truncate),
        ("train-00000.npy", lambda path: path.write_bytes(b"")),
        ("validation-00000.npy", lambda path: np.save(path, np.zeros(3, np.uint16))),
        ("validation-00000.npy", lambda path: path.write_bytes(b"\0" * 500)),
        ("validation-documents.npy", Path.unlink),
        ("train-documents.npy", truncate),
        ("index.json", lambda path: path.write_text(path.read_text().replace('"skipped"', '"left out"'))),
    ],
)
def test_a_damaged_store_is_rebuilt(config, cache_folder, monkeypatch, name, damage):
    store = prepare(config)
    train, validation = np.array(store.train), np.array(store.validation)
    assert len(train) and len(validation)
    damage(cache_folder / store.fingerprint / name)
    builds = count_builds(monkeypatch)
    for _ in range(2):
        again = prepare(config)
        assert np.array_equal(again.train, train) and np.array_equal(again.validation, validation)
    assert builds == [1]
    assert [path.name for path in cache_folder.iterdir()] == [store.fingerprint]


def test_a_failure_midway_leaves_nothing(config, corpus, cache_folder):
    with (corpus / "z.jsonl").open("a") as stream:
        stream.write("not json\n")
    with pytest.raises(StarSearchError, match=r"z\.jsonl line 22 is not JSON"):
        prepare(config)
    assert list(cache_folder.iterdir()) == []


@pytest.mark.slow
def test_processes_that_start_together_agree(config, cache_folder):
    code = f"from star_search.config import DamageConfig, DataConfig; from star_search.data.store import prepare; prepare({config!r})"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    processes = [subprocess.Popen([sys.executable, "-c", code], env=environment) for _ in range(3)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]
    assert [path.name for path in cache_folder.iterdir()] == [prepare(config).fingerprint]


KILLED = """
import os, signal, sys
from star_search.config import DataConfig
from star_search.data import building, store
from pathlib import Path
place = sys.argv[2]
def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
if place == "in the layout": building.Layout.write = die
if place == "before the index": building.write_json = die
if place == "before the rename": Path.rename = die
if place == "after the rename":
    rename = Path.rename
    Path.rename = lambda self, target: (rename(self, target), die())
store.prepare(DataConfig(source=sys.argv[1], validation_fraction=0.25, test_fraction=0.1))
"""


@pytest.mark.parametrize("place", ["in the layout", "before the index", "before the rename", "after the rename"])
def test_a_kill_leaves_a_whole_store_or_none(config, cache_folder, place):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", KILLED, config.source, place], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    stores = [path for path in cache_folder.iterdir() if not path.name.startswith(".")]
    assert len(stores) == (place == "after the rename")
    assert sum(len(_documents(prepare(config), split)) for split in SPLITS) == 40
    assert [path.name for path in cache_folder.iterdir()] == [prepare(config).fingerprint]


def test_a_warm_start_does_not_import_datasets(config):
    prepare(config)
    code = (
        "import sys\n"
        "from star_search.config import DataConfig\n"
        "from star_search.data.store import prepare\n"
        f"prepare(DataConfig(source={config.source!r}, validation_fraction=0.25, test_fraction=0.1))\n"
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


def test_a_store_of_another_fingerprint_is_refused_with_both_shown(config, cache_folder):
    first, second = prepare(config), prepare(config.model_copy(update={"seed": 1}))
    shown = [store.fingerprint[:16] for store in (first, second)]
    (cache_folder / first.fingerprint).rename(cache_folder / "aside")
    (cache_folder / second.fingerprint).rename(cache_folder / first.fingerprint)
    with pytest.raises(InputError) as caught:
        prepare(config)
    assert str(caught.value) == (
        f"the token store {cache_folder / first.fingerprint} has the fingerprint {shown[1]}, and this configuration and its "
        f"source come to {shown[0]}; what differs: seed"
    )
    index = cache_folder / first.fingerprint / "index.json"
    index.write_text(index.read_text().replace(second.fingerprint, first.fingerprint))
    with pytest.raises(InputError, match=f"says that its fingerprint is {shown[0]}, and what it records comes to {shown[1]}"):
        find(config)


def test_a_large_file_is_hashed_once_until_it_changes(config, corpus, cache_folder, monkeypatch):
    monkeypatch.setattr("star_search.data.fingerprint._LARGE_BYTES", 1)
    first = prepare(config).fingerprint
    hashed = []
    monkeypatch.setattr("star_search.data.fingerprint._sha256", lambda address: hashed.append(address) or "0" * 64)
    assert prepare(config).fingerprint == first and hashed == []
    with (corpus / "z.jsonl").open("a") as stream:
        stream.write('{"text": "new"}\n')
    assert find(config) is None and hashed == [str(corpus / "z.jsonl")]
    for path in (cache_folder / "hashes").iterdir():
        path.write_text("[")
    hashed.clear()
    assert find(config) is None and len(hashed) == 2


@pytest.mark.parametrize("large", [1, 10**9])
def test_a_source_that_changes_while_it_is_read_makes_no_store(config, corpus, cache_folder, monkeypatch, large):
    monkeypatch.setattr("star_search.data.fingerprint._LARGE_BYTES", large)

    def change(done: float, tokens: int) -> None:
        with (corpus / "z.jsonl").open("a") as stream:
            stream.write('{"text": "late"}\n')

    with pytest.raises(InputError, match=r"/z\.jsonl changed while it was read; run the command again$"):
        prepare(config, report=change)
    assert [path.name for path in cache_folder.iterdir() if path.name != "hashes"] == []
    assert sum("late" in _documents(prepare(config), split) for split in SPLITS) == 1


def test_names_of_any_bytes_in_a_cache_that_cannot_be_written_are_hashed(corpus, cache_folder, monkeypatch):
    monkeypatch.setattr("star_search.data.fingerprint._LARGE_BYTES", 1)
    path = Path(os.fsdecode(os.fsencode(corpus) + b"/caf\xe9.jsonl"))
    (corpus / "z.jsonl").rename(path)
    config, (file,) = DataConfig(source=str(path)), local_files(str(path))
    prepared = prepare(config)
    assert prepared.index["determines"]["files"][0][1] == content_identity(file, cache_folder / prepared.fingerprint / "index.json")


@pytest.mark.slow
def test_the_embedded_sample_has_the_train_tokens_it_had():
    """Its test split is cut from what was validation: every training and the shipped tokenizer are what they were."""
    store = prepare(DataConfig())
    assert (len(store.train), len(store.validation) + len(store.test)) == (10_788_138, 539_801)
    counts = {split: store.index["splits"][split]["documents"] for split in SPLITS}
    assert (counts["train"], counts["validation"] + counts["test"]) == (1474, 77)
    assert store.index["duplicates_dropped"] == 0


def test_validation_tokens_are_found_by_fingerprint_without_the_source(config, tmp_path):
    store = prepare(config, cache_folder=tmp_path)
    gone = config.model_copy(update={"source": str(tmp_path / "gone.jsonl")})
    found = validation_tokens(gone, store.fingerprint, tmp_path)
    assert found is not None and found[:].tolist() == store.validation[:].tolist()
    assert validation_tokens(gone, "0" * 64, tmp_path) is None
    assert validation_tokens(gone, store.fingerprint, tmp_path / "other") is None
    (store.folder / "validation-00000.npy").write_bytes(b"cut")
    assert validation_tokens(gone, store.fingerprint, tmp_path) is None
