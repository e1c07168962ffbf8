import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from data.conftest import write_lines
from star_search.config import DataConfig
from star_search.data.files import write_new_bytes
from star_search.data.pieces import cut
from star_search.data.tokenizer import END_OF_TEXT, TOKENIZER_FOLDER, load_tokenizer
from star_search.data.tokenizer_training import training_texts
from star_search.errors import InputError

ROOT = Path(__file__).parents[2]
BYTES = load_tokenizer("bytes")
BPE = load_tokenizer("embedded-bpe-4096")
BYTES_BY_LIBRARY = tokenizers.Tokenizer.from_str(BYTES.to_json())
BYTES_BY_LIBRARY.encode_special_tokens = True
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


def test_ids_of_bytes_are_the_bytes():
    assert BYTES.encode_batch(["aé"])[0].tolist() == [97, 0xC3, 0xA9]
    assert (BYTES.vocabulary_size, BYTES.end_of_text, BYTES.dtype) == (257, 256, np.uint16)
    assert BYTES.decode([97, 0xC3, 0xA9, 256]) == f"aé{END_OF_TEXT}"


def test_the_library_reads_every_byte_as_its_own_id():
    by_id = [BYTES_BY_LIBRARY.id_to_token(token) for token in range(257)]
    assert len(set(by_id)) == 257
    assert by_id[256] == END_OF_TEXT
    assert by_id[65] == "A" and by_id[32] == "Ġ" and by_id[10] == "Ċ"
    assert BYTES_BY_LIBRARY.get_vocab_size() == 257


@given(TEXTS)
def test_bytes_by_the_library_equal_the_fast_path(text):
    fast = BYTES.encode_batch([text])[0].tolist()
    assert BYTES_BY_LIBRARY.encode(text).ids == fast == list(text.encode())
    assert BYTES_BY_LIBRARY.decode(fast) == BYTES.decode(fast) == text


@given(TEXTS)
def test_the_shipped_tokenizer_round_trips_and_counts_bytes(text):
    ids = BPE.encode_batch([text])[0]
    assert BPE.decode(ids) == text
    assert BPE.bytes_per_token[ids].sum() == len(text.encode())


def test_the_shipped_tokenizer_has_4096_entries_all_reachable():
    assert BPE.vocabulary_size == 4096
    assert BPE.dtype == np.uint16
    assert sorted(tokenizers.Tokenizer.from_str(BPE.to_json()).get_vocab().values()) == list(range(4096))
    assert BPE.bytes_per_token[BPE.end_of_text] == 0
    assert np.count_nonzero(BPE.bytes_per_token) == 4095


def test_a_longer_text_takes_fewer_tokens_than_bytes():
    assert len(BPE.encode_batch(["the function returns a value of the same type"])[0]) < 20


@pytest.mark.parametrize("tokenizer", [BYTES, BPE], ids=["bytes", "bpe"])
def test_a_spelt_out_special_token_is_text(tokenizer):
    ids = tokenizer.encode_batch([f"a{END_OF_TEXT}b"])[0]
    assert tokenizer.end_of_text not in ids
    assert tokenizer.decode(ids) == f"a{END_OF_TEXT}b"


def test_fingerprints_differ_by_definition_not_by_name(tmp_path):
    copy = tmp_path / "copy.json"
    copy.write_text(BPE.to_json(), encoding="utf-8")
    assert load_tokenizer(str(copy)).fingerprint == BPE.fingerprint != BYTES.fingerprint
    assert len(BYTES.fingerprint) == 64


def test_a_vocabulary_of_65536_takes_32_bits(tmp_path):
    definition = json.loads(BYTES.to_json())
    definition["model"]["vocab"] |= {f"x{k}": k for k in range(257, 65_536)}
    path = tmp_path / "large.json"
    path.write_text(json.dumps(definition))
    large = load_tokenizer(str(path))
    assert (large.vocabulary_size, large.dtype) == (65_536, np.uint32)


def _refusal(name: str) -> str:
    with pytest.raises(InputError) as caught:
        load_tokenizer(name)
    return str(caught.value)


def test_refuses_an_unknown_name():
    expected = "is neither a shipped tokenizer, a file, nor OWNER/NAME on the hub"
    assert _refusal("bites") == f"data.tokenizer bites {expected}; did you mean 'bytes'?"
    assert _refusal("x" * 5000).endswith("x cannot be read: File name too long")
    assert _refusal("gpt2") == f"data.tokenizer gpt2 {expected}; allowed: bytes, embedded-bpe-4096"


def test_refuses_a_missing_file():
    assert _refusal("no/such.json") == "data.tokenizer no/such.json cannot be read: No such file or directory"


def test_refuses_what_is_not_a_tokenizer(tmp_path: Path):
    path = tmp_path / "t.json"
    path.write_text("{}")
    assert _refusal(str(path)).startswith(f"data.tokenizer {path} is not a tokenizers JSON file: ")
    path.write_bytes(b"\xff")
    assert _refusal(str(path)) == f"data.tokenizer {path} cannot be read: it is not UTF-8 text"


def test_refuses_a_tokenizer_without_an_end_of_text(tmp_path: Path):
    path = tmp_path / "t.json"
    path.write_text(json.dumps(json.loads(BYTES.to_json()) | {"added_tokens": []}))
    assert _refusal(str(path)) == f"data.tokenizer {path} has no token <|endoftext|>, which must end each document"


def test_refuses_a_tokenizer_that_is_not_byte_level(tmp_path: Path):
    path = tmp_path / "t.json"
    path.write_text(json.dumps(json.loads(BYTES.to_json()) | {"decoder": None}))
    assert _refusal(str(path)) == f"data.tokenizer {path} is not byte-level, so the bytes of its tokens cannot be counted"


def test_a_folder_stands_for_the_file_in_it(tmp_path: Path):
    (tmp_path / "tokenizer.json").write_text(BPE.to_json(), encoding="utf-8")
    assert load_tokenizer(str(tmp_path)).fingerprint == BPE.fingerprint
    assert _refusal(str(tmp_path.parent)) == f"data.tokenizer {tmp_path.parent}/tokenizer.json cannot be read: No such file or directory"


TEXT = "".join(f"Line {k}: some_words(x) = {k * 7};\n\n  indented, naïve 第{k}行 \t'quoted' and don't\r\n" for k in range(3000))


@pytest.mark.parametrize("piece", [100, 1000, 50_000])
def test_a_long_text_is_cut_without_a_trace(monkeypatch, piece):
    whole = BPE.encode_batch([TEXT, "short"])
    monkeypatch.setattr("star_search.data.pieces.PIECE_CHARACTERS", piece)
    monkeypatch.setattr("star_search.data.pieces._CUT_WINDOW", piece // 10)
    pieces = BPE.encode_batch([TEXT, "short", ""])
    assert len(list(cut(TEXT))) > len(TEXT) // piece
    assert [ids.tolist() for ids in pieces] == [*(ids.tolist() for ids in whole), []]


def test_a_text_without_a_place_to_cut_is_kept_whole_all_the_same(monkeypatch):
    monkeypatch.setattr("star_search.data.pieces.PIECE_CHARACTERS", 100)
    assert BPE.decode(BPE.encode_batch(["x" * 950])[0]) == "x" * 950


def _lacking(change: Callable[[dict[str, Any]], object], path: Path) -> str:
    definition = json.loads(BYTES.to_json())
    change(definition)
    path.write_text(json.dumps(definition), encoding="utf-8")
    return _refusal(str(path)).removeprefix(f"data.tokenizer {path} ")


def test_refuses_a_tokenizer_that_would_lose_text(tmp_path: Path):
    """As a BPE does that was trained without the alphabet of bytes: what it has not seen gives no token at all."""
    lost = "of the bytes that UTF-8 is made of: text that holds them would be lost"
    assert _lacking(lambda each: each["model"]["vocab"].pop("A"), tmp_path / "a.json") == f"has no token for 1 {lost}"
    assert _lacking(lambda each: each["model"]["vocab"].clear(), tmp_path / "b.json") == f"has no token for 243 {lost}"
    expected = "does not turn text into bytes before it divides it, so that text would be lost"
    assert _lacking(lambda each: each.update(pre_tokenizer={"type": "Whitespace"}), tmp_path / "c.json") == expected


def test_bytes_that_no_text_holds_need_no_token(tmp_path: Path):
    """GPT-NeoX's vocabulary has none for thirteen."""
    definition = json.loads(BYTES.to_json())
    unused = {0xC0, 0xC1, *range(0xF5, 256)}
    definition["model"]["vocab"] = {letter: byte for letter, byte in definition["model"]["vocab"].items() if byte not in unused}
    (tmp_path / "neox.json").write_text(json.dumps(definition), encoding="utf-8")
    text = "aé日😀\U0010ffff"
    tokenizer = load_tokenizer(str(tmp_path / "neox.json"))
    assert tokenizer.decode(tokenizer.encode_batch([text])[0]) == text


def test_a_budget_bounds_what_a_tokenizer_is_trained_on(tmp_path: Path):
    for name in ("alpha", "beta"):
        write_lines(tmp_path / f"{name}.jsonl", [{"text": f"{name} {k} é " + "words " * 9} for k in range(100)])
    config = DataConfig(source=str(tmp_path), validation_fraction=0.2, store=str(tmp_path / "store"))
    everything = list(training_texts(config, tmp_path / "cache"))
    texts = list(training_texts(config.model_copy(update={"tokens": 3000}), tmp_path / "cache"))
    assert set(texts) < set(everything) and {text.split()[0] for text in texts} == {"alpha", "beta"}
    assert 2000 < sum(len(text.encode()) for text in texts) < 3000 and not (tmp_path / "store").exists()


def test_a_file_that_cannot_be_written_whole_is_not_left(tmp_path: Path, monkeypatch):
    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        write_new_bytes(tmp_path / "t.json", b"x" * 10_000)
    (tmp_path / "mine.json").write_text("mine")
    with pytest.raises(FileExistsError):
        write_new_bytes(tmp_path / "mine.json", b"x")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("mine.json", "mine")]


@pytest.mark.slow
def test_the_command_reproduces_the_shipped_tokenizer(tmp_path: Path):
    output = tmp_path / "again.json"
    main = "from star_search.cli import main; main()"
    subprocess.run([sys.executable, "-c", main, "data", "train-tokenizer", "--output", output], check=True, env={"PYTHONPATH": str(ROOT)})
    assert output.read_bytes() == (TOKENIZER_FOLDER / "embedded-bpe-4096.json").read_bytes()
