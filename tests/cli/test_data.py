"""`star-search data`: prepare, show, train-tokenizer."""

import json
import os
import re
from pathlib import Path

import pytest

from data.conftest import write_lines


@pytest.fixture
def data(command, tmp_path):
    """Return a caller of `data` on a source of two subsets, with a cache of its own."""
    source = tmp_path / "source"
    for name in ("alpha", "beta"):
        write_lines(source / f"{name}.jsonl", [{"text": f"{name} {k} " + "some words " * 20} for k in range(60)] + [{"text": ""}])
    chosen = ["--set", f"data.source={source}", "--set", f"data.store={tmp_path / 'store'}", "--set", "data.validation_fraction=0.2"]
    return lambda verb, *arguments: command("data", verb, *chosen, *arguments)


def test_prepare_and_show_print_counts_per_subset_and_documents(data, tmp_path):
    ended = data("prepare")
    assert ended.code == 0 and ended.err == ""
    for word in ("train", "validation", "test", "alpha", "beta", "duplicates dropped: 0", "skipped: 2 empty", "fingerprint ", "store"):
        assert word in ended.out
    shown = data("show", "--documents", "2")
    assert shown.out.startswith(ended.out)
    heads = re.findall(r"^train document (\d+), (?:alpha|beta), \d+ tokens\n(?:alpha|beta) \d+ some words", shown.out, re.MULTILINE)
    assert len(heads) == 2 and heads[0] == "0"


def test_json_holds_all_of_it(data, tmp_path):
    prepared = json.loads(data("prepare", "--json", "--processes", "1").out)
    shown = json.loads(data("show", "--json", "--split", "validation", "--documents", "4").out)
    assert shown | {"documents": []} == prepared
    assert prepared["skipped"] == {"empty": 2} and len(prepared["skipped_first"]) == 2
    assert sum(counts["documents"] for counts in prepared["splits"].values()) == 120
    assert [each["split"] for each in shown["documents"]] == ["validation"] * 4
    for each in shown["documents"]:
        assert each["text"].startswith(f"{each['subset']} ") and each["tokens"] == len(each["text"].encode()) + 1


def test_file_names_of_any_bytes_are_spelt_out(data, tmp_path):
    source = tmp_path / "source"
    (source / "alpha.jsonl").rename(os.fsdecode(os.fsencode(source) + b"/caf\xe9.jsonl"))
    for verb in ("prepare", "show"):
        ended = data(verb)
        assert ended.code == 0 and "caf\\udce9" in ended.out.encode().decode()


def test_quiet_prints_nothing(data):
    assert data("prepare", "--quiet") == data("prepare", "--quiet") and data("prepare", "--quiet").out == ""


def test_show_does_not_prepare(data, tmp_path):
    expected = "this text is not prepared yet; star-search data prepare with the same --config and --set prepares it"
    assert data("show").sentence() == expected
    assert not (tmp_path / "store").exists()
    data("prepare")
    assert data("show", "--split", "tests").sentence() == "--split must be one of train, validation, test, got tests"


def test_train_tokenizer_writes_a_tokenizer_that_data_tokenizer_takes(data, here):
    ended = data("train-tokenizer", "--output", "mine.json", "--vocabulary-size", "280")
    assert (ended.code, ended.out) == (0, "mine.json: 280 entries\n")
    prepared = json.loads(data("prepare", "--json", "--set", "data.tokenizer=mine.json").out)
    assert prepared["tokenizer"] == str(here / "mine.json")
    assert prepared["splits"]["train"]["tokens"] < prepared["splits"]["train"]["bytes"]


def test_train_tokenizer_refuses(data, here):
    Path("mine.json").write_text("mine")
    assert (
        data("train-tokenizer", "--output", "mine.json").sentence()
        == "mine.json exists already; nothing is overwritten: give a new file with --output"
    )
    assert Path("mine.json").read_text() == "mine"
    assert data("train-tokenizer", "--output", "no/t.json").sentence() == "no is no folder, so t.json cannot be written there"
    small = data("train-tokenizer", "--output", "t.json", "--vocabulary-size", "256").sentence()
    bounds = "--vocabulary-size must be from 257, the bytes and the end of text, to 1,000,000, got "
    assert small == f"{bounds}256"
    huge = str(10**23)
    assert data("train-tokenizer", "--output", "t.json", "--vocabulary-size", huge).sentence() == bounds + huge
    large = data("train-tokenizer", "--output", "t.json", "--vocabulary-size", "50000").sentence()
    assert large.startswith("--vocabulary-size 50000 is more than this text gives: ")
    assert not Path("t.json").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("data.subsets=lama", "data.subsets lama is no preset; did you mean 'llama'?"),
        ("data.subsets={a: 0}", "data.subsets.a must be a finite number greater than 0, got 0"),
        ("data.subsets={a: much}", "data.subsets.a must be a finite number greater than 0, got 'much'"),
        ("data.subsets=3", "data.subsets must be text or a list or values by name, got 3"),
        ("data.test_fraction=0.99", "data.test_fraction must be less than 1 - data.validation_fraction (0.8), got 0.99"),
        ("data.damaged=ignore", "data.damaged.unreadable must be one of 'refuse' or 'skip', got 'ignore'"),
        ("data.damaged.empty=drop", "data.damaged.empty must be one of 'refuse' or 'skip', got 'drop'"),
        ("data.damaged.line=skip", "unknown key data.damaged.line; "),
        ("data.tokens=0", "data.tokens must be greater than 0, got 0"),
    ],
)
def test_a_setting_that_is_wrong(data, change, sentence):
    assert sentence in data("prepare", "--set", change).sentence()
