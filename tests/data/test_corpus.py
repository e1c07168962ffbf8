import gzip
import io
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
import zstandard

from data.conftest import write_lines
from star_search.config import DamageConfig, DataConfig
from star_search.data.corpus import Document, read_documents
from star_search.data.reading import _batches
from star_search.data.sources import EMBEDDED_FOLDER
from star_search.errors import InputError

ROOT = Path(__file__).parents[2]
SUBSETS = {"stackexchange": 529, "common_crawl": 355, "c4": 286, "github": 245, "wikipedia": 56, "book": 46, "arxiv": 34}
SKIP_ALL = dict.fromkeys(DamageConfig.model_fields, "skip")


def _read(source: object, **options: object) -> list[Document]:
    config = DataConfig.model_validate({"source": str(source), **options})
    return [document for document, _ in read_documents(config, Path("no cache"))]


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
    assert {document.subset for document in _read(corpus, subsets={"beta": 2.0})} == {"beta"}
    assert _refusal(corpus, subsets=["beta", "gamma"]) == f"data.subsets names gamma, which {corpus} does not have; present: alpha, beta"
    within = "among what data.tokens 9 reads (a larger budget, or weights, would look further)"
    assert f"gamma, which {corpus} does not have {within}; present: " in _refusal(corpus, subsets=["beta", "gamma"], tokens=9)
    assert _refusal(corpus, subsets=[]) == "data.subsets is empty; present: alpha, beta"


def test_a_file_whose_path_names_another_subset_is_not_opened(tmp_path):
    write_lines(tmp_path / "c4_sample.jsonl", [{"text": "wanted", "red_pajama_subset": "c4"}])
    (tmp_path / "arxiv_sample.jsonl").write_bytes(b"not even JSON")
    assert _read(tmp_path, subsets=["c4"]) == [Document("wanted", "c4")]
    assert _refusal(tmp_path, subsets=["book"]) == f"data.subsets names book, which {tmp_path} does not have; present: arxiv, c4"


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".jsonl.zst", ".json.gz"])
def test_reads_each_compression(tmp_path, suffix):
    write = {".jsonl": bytes, ".gz": gzip.compress, ".zst": zstandard.compress}[Path(suffix).suffix if "." in suffix[1:] else suffix]
    path = tmp_path / f"x_sample{suffix}"
    path.write_bytes(write(b'{"text": "one"}\n\n{"text": "two"}'))
    assert _read(path) == [Document("one", "x"), Document("two", "x")]


def test_reads_frames_one_after_another(tmp_path):
    path = tmp_path / "x.jsonl.zst"
    path.write_bytes(b"".join(zstandard.compress(b'{"text": "%d"}\n' % number) for number in range(3)))
    assert [document.text for document in _read(path)] == ["0", "1", "2"]


def test_reads_tables_and_whole_texts(tmp_path):
    rows = {"text": ["one", "two"], "meta": ["", ""], "red_pajama_subset": ["c4", "book"]}
    pyarrow.parquet.write_table(pyarrow.table(rows), tmp_path / "train-0.parquet")
    assert _read(tmp_path) == [Document("one", "c4"), Document("two", "book")]
    folder = tmp_path / "essays"
    folder.mkdir()
    (folder / "a.txt").write_bytes(b"\xef\xbb\xbfline\r\nline\n")
    (folder / "b.txt.gz").write_bytes(gzip.compress("é".encode()))
    assert _read(folder) == [Document("line\r\nline\n", "essays"), Document("é", "essays")]


def test_another_field_may_hold_the_text(tmp_path):
    write_lines(tmp_path / "en_head.json", [{"raw_content": "one", "url": "u"}])
    assert _read(tmp_path, text_field="raw_content") == [Document("one", "en_head")]


def test_a_text_is_kept_to_the_letter(tmp_path):
    texts = ["2020-01-01", "3", " a\r\nb\u2028c\x85\x0b", "\ufeff", "null"]
    path = tmp_path / "x.jsonl"
    lines = [json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts]
    path.write_text("\ufeff" + "".join(lines), encoding="utf-8")
    assert [document.text for document in _read(path)] == texts


@pytest.mark.parametrize("name", ["with space", "a[1]", "what*?", "é#%20"])
def test_a_path_may_hold_odd_characters(tmp_path, name):
    path = tmp_path / name / "x.jsonl"
    path.parent.mkdir()
    path.write_text('{"text": "one"}\n')
    assert _read(path) == _read(path.parent) == [Document("one", "x")]


GOOD = b'{"text": "one"}\n'
WRONG = pyarrow.array([b"c4", b"\xff"]).view(pyarrow.string())
UNKNOWN = json.dumps({"info": {"features": {"text": {"dtype": "no such type", "_type": "Value"}}}}).encode()


def _table(metadata: bytes | None = None, names: list[str] | None = None, **columns: object) -> bytes:
    table = pyarrow.table(list(map(pyarrow.array, columns.values())), names or list(columns))
    target = io.BytesIO()
    pyarrow.parquet.write_table(table.replace_schema_metadata(metadata and {"huggingface": metadata}), target)
    return target.getvalue()


LONG = zstandard.compress(b"".join(b'{"text": "%d"}\n' % number for number in range(9999)))
DAMAGES = [
    ("x.jsonl", b"", "unreadable", "holds no documents", 0),
    ("x.jsonl.zst", b"", "unreadable", "holds no documents", 0),
    ("x.jsonl", GOOD + b"not json\n", "not_json", "line 2 is not JSON", 1),
    ("x.jsonl", GOOD + b'{"text": "cut', "not_json", "line 2 is not JSON", 1),
    ("x.jsonl", b"[" * 100_000 + b"\n" + GOOD, "not_json", "line 1 is not JSON", 1),
    ("x.jsonl", GOOD + b'{"text": "\xff"}\n' + GOOD, "not_utf8", "line 2 is not UTF-8 text (byte 10)", 2),
    ("x.jsonl.gz", gzip.compress(GOOD + b'{"text": "\xff"}\n' + GOOD, mtime=0), "not_utf8", "line 2 is not UTF-8 text (byte 10)", 2),
    ("x.jsonl", GOOD + b'{"meta": "m"}\n', "no_text", "line 2 has no `text`", 1),
    ("x.jsonl", b'{"text": 3}\n', "no_text", "line 1 has no `text`", 0),
    ("x.jsonl", b'["text"]\n', "no_text", "line 1 has no `text`", 0),
    (
        "x.jsonl",
        b'{"text": "\\ud800"}\n',
        "not_utf8",
        "line 1 has a `text` with half of a surrogate pair, which is not Unicode text",
        0,
    ),
    (
        "x.jsonl",
        GOOD + b'{"text": "a", "red_pajama_subset": "\\ud800x"}\n',
        "not_utf8",
        "line 2 has a `red_pajama_subset` that is not UTF-8 text",
        1,
    ),
    (
        "x.parquet",
        _table(text=["a", "b"], red_pajama_subset=WRONG),
        "not_utf8",
        "row 2 has a `red_pajama_subset` that is not UTF-8 text",
        1,
    ),
    ("x.parquet", _table(text=WRONG), "not_utf8", "row 2 is not UTF-8 text (byte 0)", 1),
    ("x.parquet", _table(b"{broken", text=["a"]), "other_schema", None, 0),
    ("x.parquet", _table(UNKNOWN, text=["a"]), "other_schema", None, 0),
    ("x.parquet", _table(text=["a"], again=["a"], names=["text", "text"]), "unreadable", None, 0),
    ("x.jsonl", GOOD + b'{"text": ""}\n', "empty", "line 2 has an empty text", 1),
    ("x.txt", b"a\xff", "not_utf8", "is not UTF-8 text (byte 1)", 0),
    ("x.jsonl.zst", LONG[: len(LONG) // 2], "unreadable", "cannot be read: its zst frame is cut off", None),
    ("x.jsonl.zst", GOOD, "unreadable", "cannot be read: zstd decompressor error: Unknown frame descriptor", 0),
    ("x.jsonl.gz", gzip.compress(GOOD, mtime=0)[:-9], "unreadable", None, None),
    ("x.jsonl.gz", GOOD, "unreadable", "cannot be read: Not a gzipped file (b'{\"')", 0),
    ("x.parquet", b"PAR1 and no more", "unreadable", None, 0),
]


@pytest.mark.parametrize(("name", "content", "kind", "problem", "rest"), DAMAGES, ids=[f"{damage[2]}-{damage[0]}" for damage in DAMAGES])
def test_damage_is_named_and_refused_or_skipped_as_configured(tmp_path, name, content, kind, problem, rest):
    path = tmp_path / name
    path.write_bytes(content)
    refusal = _refusal(path, damaged="refuse")
    assert refusal.startswith(f"{path} ") and refusal.endswith(f"; data.damaged.{kind}: skip passes over it")
    if problem is not None:
        assert refusal == f"{path} {problem}; data.damaged.{kind}: skip passes over it"
    others = dict.fromkeys(DamageConfig.model_fields, "refuse")
    documents = _read(path, damaged=others | {kind: "skip"})
    assert rest is None or len(documents) == rest


def test_documents_before_a_cut_are_kept(tmp_path):
    """A gz file of 3 MB, cut off in the middle: what comes before the cut is read, to the last whole batch of lines."""
    lines = b"".join(b'{"text": "%d %s"}\n' % (number, os.urandom(400).hex().encode()) for number in range(4000))
    path = tmp_path / "x.jsonl.gz"
    whole = gzip.compress(lines)
    path.write_bytes(whole[: len(whole) // 2])
    assert "cannot be read: Compressed file ended before the end-of-stream marker was reached, after 1" in _refusal(path)
    texts = [document.text for document in _read(path, damaged=SKIP_ALL)]
    assert 1000 < len(texts) < 2100
    assert [int(text.split()[0]) for text in texts] == list(range(len(texts)))


def test_a_table_of_another_schema_is_refused_or_skipped(tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({"content": ["one"], "text": [[1]]}), tmp_path / "a.parquet")
    pyarrow.parquet.write_table(pyarrow.table({"text": ["two", None]}), tmp_path / "b.parquet")
    expected = (
        f"{tmp_path}/a.parquet has no column `text` of text; its columns: content, text; data.damaged.other_schema: skip passes over it"
    )
    assert _refusal(tmp_path) == expected
    skipping = {"other_schema": "skip"}
    assert _refusal(tmp_path, damaged=skipping) == f"{tmp_path}/b.parquet row 2 has no `text`; data.damaged.no_text: skip passes over it"
    assert _read(tmp_path, damaged=SKIP_ALL) == [Document("two", "b")]


def test_a_document_of_50_mb_is_taken_refused_or_skipped(tmp_path):
    write_lines(tmp_path / "x.jsonl", [{"text": "before"}, {"text": "word " * 10_000_000}, {"text": "after"}])
    assert [len(document.text) for document in _read(tmp_path)] == [6, 50_000_000, 5]
    refusal = _refusal(tmp_path, longest_document_bytes=1_000_000)
    assert refusal == (
        f"{tmp_path}/x.jsonl line 2 has a text of 50,000,000 bytes, above data.longest_document_bytes (1,000,000); "
        "data.damaged.too_long: skip passes over it"
    )
    assert [document.text for document in _read(tmp_path, longest_document_bytes=1_000_000, damaged="skip")] == ["before", "after"]


@pytest.mark.parametrize("kind", [pyarrow.string(), pyarrow.large_string(), pyarrow.string_view()], ids=str)
def test_a_table_may_hold_its_text_in_any_type_of_text(tmp_path, kind):
    texts = ["book", "a longer text that no view holds within itself"]
    (tmp_path / "x.parquet").write_bytes(_table(red_pajama_subset=pyarrow.array(texts, kind), text=pyarrow.array(["one", "two"], kind)))
    assert _read(tmp_path) == [Document("one", texts[0]), Document("two", texts[1])]
    assert _read(tmp_path, text_field="red_pajama_subset") == [Document(text, text) for text in texts]


@pytest.mark.parametrize("pack", [bytes, zstandard.compress])
def test_a_row_that_is_too_long_whatever_it_says_is_not_held(tmp_path, monkeypatch, pack):
    monkeypatch.setattr("star_search.data.reading._SHORTEST_LIMIT", 0)
    monkeypatch.setattr("star_search.data.builder._BATCH_BYTES", 7)
    suffix = "" if pack is bytes else ".zst"
    path = tmp_path / f"x.jsonl{suffix}"
    fits = b'{"text": "\\u0041\\u0042", "meta": "%s"}' % (b"m" * 40)
    path.write_bytes(pack(b"\0" * 90 + b"\n" + fits + b"\r\n" + b"\0" * 80 + b"\n" + b"\0" * 200))
    refusal = _refusal(path, longest_document_bytes=10, damaged={"not_json": "skip"})
    expected = "is longer than 80 bytes, too long for data.longest_document_bytes (10); data.damaged.too_long: skip passes over it"
    assert refusal == f"{path} line 1 {expected}"
    assert _read(path, longest_document_bytes=10, damaged="skip") == [Document("AB", "x")]
    texts = tmp_path / "texts"
    texts.mkdir()
    for name, text in (("a", b"\xef\xbb\xbf" + b"t" * 10), ("b", b"t" * 14)):
        (texts / f"{name}.txt{suffix}").write_bytes(pack(text))
    assert _refusal(texts, longest_document_bytes=10) == f"{texts}/b.txt{suffix} {expected.replace('80', '13')}"
    assert _read(texts, longest_document_bytes=10, damaged="skip") == [Document("t" * 10, "texts")]


def test_reading_is_silent_offline_and_leaves_no_cache(corpus, tmp_path):
    code = (
        "import socket, sys\n"
        "def refuse(*_): print('network', flush=True)\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from pathlib import Path\n"
        "from star_search.config import DataConfig\n"
        "from star_search.data.corpus import read_documents\n"
        f"assert len(list(read_documents(DataConfig(source={str(corpus)!r}), Path('no cache')))) == 41\n"
    )
    home = tmp_path / "home"
    environment = {"HOME": str(home), "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    before = set(tmp_path.iterdir())
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert set(tmp_path.iterdir()) == before


def test_a_dead_connection_is_tried_four_times_by_datasets():
    from datasets import config

    class Rows:
        def with_format(self, kind: str) -> "Rows":
            return self

        def iter(self, batch_size: int) -> Iterator[int]:
            yield config.STREAMING_READ_MAX_RETRIES
            yield config.STREAMING_READ_MAX_RETRIES

    before = config.STREAMING_READ_MAX_RETRIES
    for inside in _batches(Rows()):
        assert (inside, config.STREAMING_READ_MAX_RETRIES) == (4, before)


def test_the_settings_of_datasets_are_left_as_they_were(corpus):
    import datasets

    def settings() -> tuple[object, ...]:
        bars = datasets.utils.are_progress_bars_disabled()
        return bars, datasets.logging.get_verbosity(), datasets.config.HF_UPDATE_DOWNLOAD_COUNTS

    before = settings()
    _read(corpus)
    assert settings() == before
