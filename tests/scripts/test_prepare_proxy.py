"""The script that prepares the proxy corpus, on a corpus of the same layout."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from data.conftest import write_lines
from star_search.config import load_configuration
from star_search.data.store import find

SCRIPT = Path(__file__).parents[2] / "scripts" / "prepare_proxy.py"


def _run(*arguments):
    return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True, check=False)


def test_the_held_out_folder_becomes_validation_and_test_and_the_rest_is_trained_on(tmp_path, monkeypatch):
    monkeypatch.setenv("STAR_SEARCH_CACHE", str(tmp_path / "cache"))
    for split, count in (("train", 60), ("validation", 40)):
        write_lines(tmp_path / "proxy" / split / "arxiv_sample.jsonl", [{"text": f"{split} {number}"} for number in range(count)])
    # Of a document that stands in both, the held-out copy is kept.
    write_lines(tmp_path / "proxy" / "train" / "c4_sample.jsonl", [{"text": "validation 3"}])
    path = tmp_path / "proxy.yaml"
    done = _run(tmp_path, "--configuration", path, "--validation-tokens", 256)
    assert (done.returncode, done.stderr) == (0, "")
    store = find(load_configuration(path).data)
    assert store is not None
    keys = {split: {key.tobytes() for key in store.split(split).documents()["key"]} for split in ("train", "validation", "test")}
    assert len(keys["train"]) == 60
    assert keys["validation"] and keys["test"] and len(keys["validation"] | keys["test"]) == 40
    assert not keys["train"] & (keys["validation"] | keys["test"]) and not keys["validation"] & keys["test"]
    assert np.count_nonzero(store.train[:] == store.tokenizer.end_of_text) == 60

    before = path.read_bytes()
    again = _run(tmp_path, "--configuration", path)
    assert again.returncode == 2 and "exists already" in again.stderr
    assert path.read_bytes() == before


def test_a_folder_without_the_corpus_is_one_sentence(tmp_path):
    done = _run(tmp_path, "--configuration", tmp_path / "x.yaml")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr and "does not exist" in done.stderr
    assert not (tmp_path / "x.yaml").exists()
