"""A cache of its own for every test, and a writer of small corpora."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from star_search.config import DataConfig
from star_search.data.preparation import Preparation
from star_search.data.store import TokenStore, prepare


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("STAR_SEARCH_CACHE", str(folder))
    return folder


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Forty documents of two subsets, in two files whose `meta` differ in type; one document stands twice."""
    folder = tmp_path / "corpus"
    write_lines(folder / "alpha_sample.jsonl", [{"text": f"document {k} é", "meta": {"id": k}} for k in range(20)])
    beta = [{"text": f"other {k}", "meta": "m", "red_pajama_subset": "beta"} for k in range(20)]
    write_lines(folder / "z.jsonl", [*beta, {"text": "document 3 é", "meta": None, "red_pajama_subset": "beta"}])
    return folder


@pytest.fixture
def make_store(tmp_path: Path) -> Callable[[str], TokenStore]:
    """Return a maker of stores of forty documents, each a number and the given filler."""

    def make(filler: str) -> TokenStore:
        path = tmp_path / "made.jsonl"
        write_lines(path, [{"text": f"{k} {filler}"} for k in range(40)])
        return prepare(DataConfig(source=str(path), validation_fraction=0.25, test_fraction=0.1))

    return make


@pytest.fixture
def config(corpus: Path) -> DataConfig:
    return DataConfig(source=str(corpus), validation_fraction=0.25, test_fraction=0.1)


def count_builds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by one with every preparation."""
    builds: list[int] = []
    monkeypatch.setattr("star_search.data.building.Preparation", lambda *arguments: builds.append(1) or Preparation(*arguments))
    return builds


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4])


def write_lines(path: Path, records: list[object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
