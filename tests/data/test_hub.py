"""The hub path over the real clients: a stand-in on loopback, the program in processes of its own."""

import gzip
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
import zstandard

from data.hub import COMMIT, Hub, serve
from star_search.config import DataConfig
from star_search.data.hub import _matches
from star_search.data.sources import SUFFIX_LIST
from star_search.data.store import prepare
from star_search.data.tokenizer import load_tokenizer

ROOT = Path(__file__).parents[2]
SAMPLE = "togethercomputer/RedPajama-Data-1T-Sample"
TABLE = "someone/RedPajama-Parquet"
SUBSETS = {"arxiv_sample.jsonl": "arxiv", "cc_2019-30_sample.jsonl": "common_crawl", "wikipedia_sample.jsonl": "wikipedia"}
RECORDS = {
    name: [{"text": f"{subset} {k} é", "meta": json.dumps({"k": k}), "red_pajama_subset": subset} for k in range(30)]
    for name, subset in SUBSETS.items()
}


def _lines(records: list[dict[str, str]]) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def _table(records: list[dict[str, str]]) -> bytes:
    target = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), target)
    return target.getvalue()


BIG = _lines([{"text": f"{k} " + "word " * 1000} for k in range(8000)])
PACKED = {
    "c4_sample.jsonl.gz": gzip.compress(_lines(RECORDS["arxiv_sample.jsonl"]), mtime=0),
    "book_sample.jsonl.zst": zstandard.compress(_lines(RECORDS["cc_2019-30_sample.jsonl"])),
    "github.parquet": _table(RECORDS["wikipedia_sample.jsonl"]),
}
# As RedPajama-Data-V2 lays out its documents, beside signals that are none.
PAGES = {
    "sample/documents/2023-06/0000/en_head.json.gz": gzip.compress(
        _lines([{"url": "u", "raw_content": f"page {k}"} for k in range(30)]), mtime=0
    ),
    "sample/quality_signals/2023-06/0000/en_head.signals.json.gz": gzip.compress(_lines([{"id": "0", "quality_signals": "{}"}]), mtime=0),
    "sample/duplicates/2023-06/0000/en_head.duplicates.parquet": _table([{"shard_id": "s", "doc_id": "0"}]),
    "listings/en-2023-06-head_middle.txt": b"2023-06/0000/en_head\n",
}
ODD_NAMES = ("data[1].jsonl", "data1.jsonl", "what*?.jsonl", "whatever.jsonl", "é #%20.jsonl")
PART = "star-search: data.source hf://datasets/someone/part "
PROGRAM = """
import contextlib, io, json, sys
import datasets.config
from star_search.cli import main
datasets.config.STREAMING_READ_RETRY_INTERVAL = 0.1
ended = []
for arguments in json.loads(sys.argv[1]):
    sys.argv, out, err, code = ["star-search", "data", *arguments], io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as ending:
            code = ending.code or 0
    ended.append([code, out.getvalue(), err.getvalue()])
print(json.dumps(ended))
"""


def _on_sample(*changes: str, source: str = SAMPLE, command: str = "prepare") -> list[str]:
    values = (f"data.source=hf://datasets/{source}", "data.validation_fraction=0.2", *changes)
    return [command, "--json", *(word for value in values for word in ("--set", value))]


CALLS = {
    "sample": _on_sample(),
    "table": _on_sample(source=TABLE),
    "budget": _on_sample("data.subsets=[c4]", "data.tokens=100_000", source="someone/large"),
    "tokenizer": _on_sample("data.tokenizer=EleutherAI/gpt-neox-20b"),
    "401": _on_sample(source="someone/closed"),
    "404": _on_sample(source="no/body"),
    "no tokenizer": _on_sample("data.tokenizer=no/body"),
    "no address": _on_sample(source="alone"),
    "no data": _on_sample(source="someone/empty"),
    "packed": _on_sample("data.tokenizer=bytes", source="someone/packed/*"),
    "addresses": _on_sample(source="someone/addresses"),
    "listings": _on_sample(source="someone/listings"),
    "odd names": _on_sample(source="someone/odd"),
    "pages": _on_sample("data.text_field=raw_content", source="someone/pages/sample/documents"),
    "all pages": _on_sample("data.text_field=raw_content", source="someone/pages"),
    "file 401": _on_sample(source="someone/gated"),
    "file 404": _on_sample(source="someone/moved"),
}
OFFLINE = {
    "sample": _on_sample(command="show"),
    "tokenizer": CALLS["tokenizer"],
    "not prepared": _on_sample("data.seed=5"),
    "never seen": CALLS["401"],
}


@dataclass(frozen=True)
class Seen:
    """How every call ended, online and then offline, and what the hub saw of either."""

    online: dict[str, tuple[int, str, str]]
    offline: dict[str, tuple[int, str, str]]
    requests: list[str]
    offline_requests: list[str]
    bytes_served: dict[str, int]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """Two layouts of one corpus, a larger one, a closed one, a tokenizer; the first file drops its connection once."""
    home = tmp_path_factory.mktemp("home")
    with serve() as hub:
        hub.repositories = {
            SAMPLE: {
                "README.md": b"a card",
                "RedPajama-Data-1T-Sample.py": b"raise SystemExit",
                **{n: _lines(r) for n, r in RECORDS.items()},
            },
            TABLE: {
                "README.md": b"a card",
                "data/train-00000-of-00001.parquet": _table([record for records in RECORDS.values() for record in records]),
            },
            "someone/large": {"c4_sample.jsonl": BIG, "book_sample.jsonl": b"never read"},
            "someone/closed": {},
            "someone/gated": {"x.jsonl": b"a"},
            "someone/moved": {"x.jsonl": b"b"},
            "someone/empty": {"README.md": b"a card"},
            "someone/packed": PACKED,
            "someone/addresses": {"urls/arxiv.txt": b"https://example.org/a.jsonl", "urls/c4.txt": b"https://example.org/b.jsonl"},
            "someone/pages": PAGES,
            "someone/listings": {"listings/en-2023-06-head_middle.txt": b"2023-06/0000/en_head\n"},
            "someone/odd": {name: _lines([{"text": name}] * 2) for name in ODD_NAMES},
            "EleutherAI/gpt-neox-20b": {"tokenizer.json": load_tokenizer("embedded-bpe-4096").to_json().encode()},
        }
        hub.refused = {"someone/closed": 401}
        hub.refused_files = {"someone/gated/x.jsonl": 401, "someone/moved/x.jsonl": 404}
        hub.drops.update({"arxiv_sample.jsonl": 1, **dict.fromkeys(PACKED, 1)})
        online = _run(hub, home, CALLS)
        requests = list(hub.requests)
        offline = _run(hub, home, OFFLINE, HF_HUB_OFFLINE="1")
        yield Seen(online, offline, requests, hub.requests[len(requests) :], dict(hub.bytes_served))


def _run(hub: Hub, home: Path, calls: dict[str, list[str]], **variables: str) -> dict[str, tuple[int, str, str]]:
    own = {"PYTHONPATH": str(ROOT), "STAR_SEARCH_CACHE": str(home / "cache")}
    environment = os.environ | hub.environment(home) | own | variables
    command = [sys.executable, "-c", PROGRAM, json.dumps(list(calls.values()))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=300)
    return {name: tuple(ended) for name, ended in zip(calls, json.loads(done.stdout), strict=True)}


def _printed(ended: tuple[int, str, str]) -> dict[str, Any]:
    assert ended[0] == 0, ended
    return json.loads(ended[1])


def _tokens(folder: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted(Path(folder).glob("*-0*.npy"))]


def test_both_layouts_stream_into_the_tokens_that_local_files_give(seen, tmp_path):
    for name, records in RECORDS.items():
        (tmp_path / name).write_bytes(_lines(records))
    store = prepare(DataConfig(source=str(tmp_path), validation_fraction=0.2), tmp_path / "cache")
    sample, table = _printed(seen.online["sample"]), _printed(seen.online["table"])
    assert len(_tokens(sample["folder"])) == 3
    assert _tokens(sample["folder"]) == _tokens(table["folder"]) == _tokens(str(store.folder))
    assert sample["splits"] == table["splits"] == store.index["splits"]
    assert set(sample["splits"]["train"]["subsets"]) == set(SUBSETS.values())
    # The hub knows its files by the sha256 of their content: a download is the same source.
    assert sample["fingerprint"] == store.fingerprint != table["fingerprint"]
    assert (sample["commits"], store.index["commits"]) == ([COMMIT], [])


def test_the_listing_is_asked_for_once_and_files_by_commit_and_range(seen):
    api = [request for request in seen.requests if f"/api/datasets/{SAMPLE}/revision/main" in request]
    assert api == [f"GET /api/datasets/{SAMPLE}/revision/main"]
    assert f"GET /api/datasets/{SAMPLE}/tree/{COMMIT}?recursive=true&expand=false" in seen.requests
    files = [request for request in seen.requests if "/datasets/" in request and "/resolve/" in request]
    assert files and all(f"/resolve/{COMMIT}/" in request and "bytes=" in request for request in files)
    assert not any("README" in request or ".py" in request for request in files)


def test_a_connection_that_drops_in_the_middle_is_tried_again(seen):
    arxiv = [request for request in seen.requests if f"{SAMPLE}/resolve/{COMMIT}/arxiv_sample.jsonl" in request]
    readings = 2  # The texts are tokenised twice, by two tokenizers.
    assert len(arxiv) == readings + 1


def test_so_it_is_in_files_that_are_packed(seen):
    splits = _printed(seen.online["packed"])["splits"]
    assert sum(counts["documents"] for counts in splits.values()) == 90
    for path in PACKED:
        served = [
            request for request in seen.requests if request.startswith("GET") and f"someone/packed/resolve/{COMMIT}/{path}" in request
        ]
        assert len(served) >= 2, path


def test_documents_laid_out_as_in_the_second_red_pajama(seen):
    for name in ("pages", "all pages"):
        splits = _printed(seen.online[name])["splits"]
        assert sum(counts["documents"] for counts in splits.values()) == 30


def test_names_are_no_globs(seen):
    printed = _printed(seen.online["odd names"])
    assert sum(counts["documents"] for counts in printed["splits"].values()) == printed["duplicates_dropped"] == len(ODD_NAMES)


def test_no_more_is_fetched_than_the_subset_and_the_budget_need(seen):
    splits = _printed(seen.online["budget"])["splits"]
    assert 100_000 <= sum(counts["tokens"] for counts in splits.values()) < 120_000
    assert "book_sample.jsonl" not in seen.bytes_served
    assert seen.bytes_served["c4_sample.jsonl"] < 14_000_000 < len(BIG) / 2


def test_offline_what_was_prepared_is_there(seen):
    for name in ("sample", "tokenizer"):
        assert _printed(seen.offline[name])["fingerprint"] == _printed(seen.online[name])["fingerprint"]
    assert _printed(seen.online["tokenizer"])["tokenizer"] == "EleutherAI/gpt-neox-20b"
    assert seen.offline_requests == []


def test_what_cannot_be_had_is_one_sentence(seen):
    token = "set HF_TOKEN to a token that may read it; a misspelt name is answered so too"
    form = "hf://datasets/OWNER/NAME, with @REVISION and /FILE, /FOLDER or /GLOB where wanted"
    offline = "is not in the cache, and the hub is off limits: HF_HUB_OFFLINE is set"
    file = f"hf://datasets/{SAMPLE}@{COMMIT}/arxiv_sample.jsonl"
    expected = {
        "401": (2, f"data.source hf://datasets/someone/closed is not open to you (401): {token}"),
        "404": (2, "data.source hf://datasets/no/body is not on the hub (404)"),
        "no tokenizer": (2, "data.tokenizer no/body is not on the hub (404)"),
        "no address": (2, f"data.source hf://datasets/alone must read {form}"),
        "file 401": (2, f"hf://datasets/someone/gated@{COMMIT}/x.jsonl is not open to you (401): {token}"),
        "file 404": (2, f"hf://datasets/someone/moved@{COMMIT}/x.jsonl is not on the hub (404)"),
        "addresses": (
            2,
            "data.source hf://datasets/someone/addresses lists the addresses of its text (urls/arxiv.txt), which are not followed; give a "
            "folder with the text, or hf://datasets/togethercomputer/RedPajama-Data-1T-Sample",
        ),
        "listings": (
            2,
            "data.source hf://datasets/someone/listings lists the addresses of its text (listings/en-2023-06-head_middle.txt), which are "
            "not followed; give a folder with the text, or hf://datasets/togethercomputer/RedPajama-Data-1T-Sample",
        ),
        "no data": (2, f"data.source hf://datasets/someone/empty has no file that ends in {SUFFIX_LIST}"),
    }
    for name, (code, sentence) in expected.items():
        assert seen.online[name] == (code, "", f"star-search: {sentence}\n"), name
    assert seen.offline["not prepared"] == (1, "", f"star-search: {file} {offline}\n")
    assert seen.offline["never seen"] == (1, "", f"star-search: data.source hf://datasets/someone/closed {offline}\n")


@pytest.fixture(scope="module")
def downloaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Hub]:
    """The client's cache after a download of the sample, and of a part of others, from a stand-in that is gone now."""
    home = tmp_path_factory.mktemp("downloaded")
    with serve() as hub:
        files = {name: _lines(records) for name, records in RECORDS.items()}
        hub.repositories = {SAMPLE: {"README.md": b"a card", **files}, "someone/part": files, "someone/listed": files}
        program = f"""
import huggingface_hub as hub
hub.snapshot_download({SAMPLE!r}, repo_type="dataset")
hub.snapshot_download("someone/listed", repo_type="dataset", allow_patterns="arxiv*")
hub.hf_hub_download("someone/part", "arxiv_sample.jsonl", repo_type="dataset")
"""
        subprocess.run([sys.executable, "-c", program], env=os.environ | hub.environment(home), check=True, capture_output=True)
    return home, hub


@pytest.mark.parametrize("variables", [{"HF_HUB_OFFLINE": "1"}, {}], ids=["offline", "no connection"])
def test_what_the_client_has_downloaded_needs_no_hub(downloaded, tmp_path, variables):
    home, hub = downloaded
    own = {"STAR_SEARCH_CACHE": str(tmp_path / "cache")} | variables
    parts = {name: _on_sample(source=f"someone/{name}") for name in ("part", "listed")}
    ended = _run(hub, home, {"sample": CALLS["sample"], "never seen": CALLS["404"], **parts}, **own)
    for name, records in RECORDS.items():
        (tmp_path / "files").mkdir(exist_ok=True)
        (tmp_path / "files" / name).write_bytes(_lines(records))
    local = prepare(DataConfig(source=str(tmp_path / "files"), validation_fraction=0.2), tmp_path / "cache 2")
    printed = _printed(ended["sample"])
    assert (printed["commits"], _tokens(printed["folder"])) == ([COMMIT], _tokens(str(local.folder)))
    assert printed["fingerprint"] == local.fingerprint
    assert ended["never seen"][0] == 1
    assert ended["never seen"][2].startswith("star-search: data.source hf://datasets/no/body ")
    assert not (tmp_path / "cache" / "hub").exists()  # A later one may be of another commit.
    # Of what was downloaded in part, nothing is taken for the whole.
    missing = f"star-search: hf://datasets/someone/listed@{COMMIT}/cc_2019-30_sample.jsonl "
    assert [(ended[name][0], ended[name][2].startswith(start)) for name, start in (("part", PART), ("listed", missing))] == [(1, True)] * 2


def test_a_refusal_of_the_hub_is_not_made_up_for_by_what_was_downloaded(downloaded, tmp_path):
    with serve() as hub:
        hub.refused = {SAMPLE: 503}
        code, _, sentence = _run(hub, downloaded[0], {"sample": CALLS["sample"]}, STAR_SEARCH_CACHE=str(tmp_path))["sample"]
    assert code == 1 and sentence.startswith(f"star-search: data.source hf://datasets/{SAMPLE} cannot be had from the hub (")
    assert "503" in sentence


@pytest.mark.parametrize(
    ("path", "pattern", "expected"),
    [
        ("a/b.jsonl", "**", True),
        ("a/b.jsonl", "a", True),
        ("a/b.jsonl", "a/", True),
        ("a/b.jsonl", "a/b.jsonl", True),
        ("a/b.jsonl", "*.jsonl", False),
        ("b.jsonl", "*.jsonl", True),
        ("a/b.jsonl", "**/*.jsonl", True),
        ("b.jsonl", "**/*.jsonl", True),
        ("a/b/c.jsonl", "a/*.jsonl", False),
        ("ab/c.jsonl", "a", False),
    ],
)
def test_patterns_are_those_of_folders(path, pattern, expected):
    assert _matches(path, pattern) is expected
