"""One corpus in four containers is one token stream: the loss of one model on it is the same."""

import gzip
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
import zstandard

from data.conftest import write_lines
from star_search.config import DataConfig
from star_search.data.store import prepare
from star_search.data.stream import TokenStream
from star_search.model.language_model import LanguageModel
from star_search.training.trainer import evaluate

RECORDS = [
    {"text": f"{k} naïve words, {k * k} " * (3 + k % 5), "meta": "", "red_pajama_subset": "c4" if k % 3 else "book"} for k in range(90)
]


def _write(folder: Path, kind: str) -> str:
    folder.mkdir()
    lines = "".join(json.dumps(record) + "\n" for record in RECORDS).encode()
    if kind == "jsonl":
        write_lines(folder / "x.jsonl", RECORDS)
    elif kind == "gz":
        (folder / "x.jsonl.gz").write_bytes(gzip.compress(lines))
    elif kind == "zst":
        (folder / "x.jsonl.zst").write_bytes(zstandard.compress(lines))
    else:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(RECORDS), folder / "x.parquet", row_group_size=20)
    return str(folder)


@pytest.mark.parametrize("kind", ["gz", "zst", "parquet"])
def test_losses_and_batches_are_those_of_plain_json_lines(tmp_path, kind):
    results = []
    for each in ("jsonl", kind):
        store = prepare(DataConfig(source=_write(tmp_path / each, each), validation_fraction=0.3), tmp_path / "cache")
        stream = TokenStream(store, 16, 2, seed=0)
        model = LanguageModel.from_genome("11111-71111", width=16, vocabulary_size=257, seed=1)
        result = evaluate(model, stream.validation_batches(10_000, 8))
        results.append((result, [stream.batch(step)[0].tobytes() for step in range(5)], store.index["splits"]))
    assert results[0] == results[1]
    assert set(results[0][0].subsets) == {"book", "c4"}
