import gzip
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import zstandard

from star_search.config import DataConfig
from star_search.data.corpus import EMBEDDED_FOLDER, Document, read_documents, source_files
from star_search.errors import InputError

SUBSETS = {"stackexchange": 529, "common_crawl": 355, "c4": 286, "github": 245, "wikipedia": 56, "book": 46, "arxiv": 34}


def _read(source: object, **options: object) -> list[Document]:
    return list(read_documents(DataConfig(source=str(source), **options)))


def _refusal(source: object, **options: object) -> str:
    with pytest.raises(InputError) as caught:
        _read(source, **options)
    assert caught.value.__cause__ is None and (caught.value.__context__ is None or caught.value.__suppress_context__)
    return str(caught.value)


def test_the_embedded_sample_is_whole_and_has_its_licences():
    assert Counter(document.subset for document in _read("embedded")) == SUBSETS
    assert (EMBEDDED_FOLDER / "NOTICE.txt").stat().st_size > 1000
    assert len(list((EMBEDDED_FOLDER / "LICENSES").iterdir())) > 20


def test_reads_subsets_from_the_record_or_the_file_name(corpus):
    documents = _read(corpus)
    assert len(documents) == 41
    assert documents[0] == Document("document 0 é", "alpha")
    assert documents[-1] == Document("document 3 é", "beta")


def test_filters_by_subset(corpus):
    assert {document.subset for document in _read(corpus, subsets=["beta"])} == {"beta"}
    assert _refusal(corpus, subsets=["beta", "gamma"]) == f"data.subsets names gamma, which {corpus} does not have; present: alpha, beta"
    assert _refusal(corpus, subsets=[]) == "data.subsets is empty; present: alpha, beta"


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".jsonl.zst"])
def test_reads_each_compression(tmp_path, suffix):
    write = {".jsonl": bytes, ".jsonl.gz": gzip.compress, ".jsonl.zst": zstandard.compress}[suffix]
    path = tmp_path / f"x_sample{suffix}"
    path.write_bytes(write(b'{"text": "one"}\n\n{"text": "two"}'))
    assert _read(path) == [Document("one", "x"), Document("two", "x")]


def test_a_text_is_kept_to_the_letter(tmp_path):
    texts = ["2020-01-01", "3", " a\r\nb\u2028c\x85\x0b", "", "\ufeff", "null"]
    path = tmp_path / "x.jsonl"
    lines = [json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts]
    path.write_text("\ufeff" + "".join(lines), encoding="utf-8")
    assert [document.text for document in _read(path)] == texts


@pytest.mark.parametrize("name", ["with space", "a[1]", "what*?", ".hidden", "é#%20"])
def test_a_path_may_hold_odd_characters(tmp_path, name):
    path = tmp_path / name / "x.jsonl"
    path.parent.mkdir()
    path.write_text('{"text": "one"}\n')
    assert _read(path) == _read(path.parent) == [Document("one", "x")]


def test_a_folder_a_glob_and_its_files_are_equal_and_sorted(corpus, monkeypatch):
    (corpus / "README.md").write_text("no data")
    assert [file.name for file in source_files(str(corpus))] == ["alpha_sample.jsonl", "z.jsonl"]
    assert _read(corpus) == _read(corpus / "*") == _read(corpus / "alpha_sample.jsonl") + _read(corpus / "z.jsonl")
    monkeypatch.chdir(corpus.parent)
    assert _read("corpus") == _read("corpus/*.jsonl") == _read(corpus)


def test_refuses_a_missing_source(tmp_path):
    expected = "does not exist; give 'embedded', a folder, a glob or a .jsonl, .jsonl.gz or .jsonl.zst file"
    assert _refusal("no/where") == f"data.source no/where {expected}"
    assert _refusal(f"{tmp_path}/*.jsonl") == f"data.source {tmp_path}/*.jsonl matches no .jsonl, .jsonl.gz or .jsonl.zst file"
    assert _refusal(tmp_path) == f"data.source {tmp_path} is a folder without a .jsonl, .jsonl.gz or .jsonl.zst file"


def test_refuses_another_kind_of_file(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("text\n")
    assert _refusal(path) == f"data.source {path} must end in .jsonl, .jsonl.gz or .jsonl.zst"


GOOD = b'{"text": "one"}\n'
LONG = zstandard.compress(b"".join(b'{"text": "%d"}\n' % number for number in range(9999)))


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("x.jsonl", b"", "holds no documents"),
        ("x.jsonl.zst", b"", "holds no documents"),
        ("x.jsonl", b"\n \n", "holds no documents"),
        ("x.jsonl", GOOD + b"not json\n", "is damaged: line 2 is not JSON"),
        ("x.jsonl", GOOD + b'{"text": "cut', "is damaged: line 2 is not JSON"),
        ("x.jsonl", b"[" * 100_000, "is damaged: line 1 is not JSON"),
        ("x.jsonl", GOOD + b'{"text": "\xff"}\n', "is damaged: it is not UTF-8 text"),
        ("x.jsonl", GOOD + b'{"meta": "m"}\n', "line 2 has no `text`"),
        ("x.jsonl", b'{"text": 3}\n', "line 1 has no `text`"),
        ("x.jsonl", b'["text"]\n', "line 1 has no `text`"),
        ("x.jsonl", b'{"text": "\\ud800"}\n', "line 1 has a `text` with half of a surrogate pair, which is not Unicode text"),
        ("x.jsonl.zst", LONG[: len(LONG) // 2], "is damaged: its zst frame is cut off"),
        ("x.jsonl.zst", LONG + LONG, "holds more than one zst frame; compress it again as one"),
        ("x.jsonl.zst", GOOD, "cannot be read: zstd decompressor error: Unknown frame descriptor"),
        ("x.jsonl.gz", gzip.compress(GOOD)[:-9], "cannot be read: Compressed file ended before the end-of-stream marker was reached"),
        ("x.jsonl.gz", GOOD, "cannot be read: Not a gzipped file (b'{\"')"),
    ],
)
def test_refuses_a_damaged_file(tmp_path, name, content, problem):
    path = tmp_path / name
    path.write_bytes(content)
    assert _refusal(path) == f"{path} {problem}"


def test_reading_is_silent_offline_and_leaves_no_cache(corpus, tmp_path):
    code = (
        "import socket, sys\n"
        "def refuse(*_): print('network', flush=True)\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from star_search.config import DataConfig\n"
        "from star_search.data.corpus import read_documents\n"
        f"assert len(list(read_documents(DataConfig(source={str(corpus)!r})))) == 41\n"
    )
    home = tmp_path / "home"
    environment = {"HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2]), "TMPDIR": str(tmp_path)}
    before = set(tmp_path.iterdir())
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert set(tmp_path.iterdir()) == before


def test_the_settings_of_datasets_are_left_as_they_were(corpus):
    import datasets

    def settings() -> tuple[object, ...]:
        bars = datasets.utils.are_progress_bars_disabled()
        return bars, datasets.logging.get_verbosity(), datasets.config.HF_UPDATE_DOWNLOAD_COUNTS

    before = settings()
    _read(corpus)
    assert settings() == before
