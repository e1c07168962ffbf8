from pathlib import Path

import pytest

from star_search.data.sources import SUFFIX_LIST, SourceFile, local_files
from star_search.errors import InputError


def _names(source: object) -> list[str]:
    return [file.name for file in local_files(str(source))]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder of JSON lines with descriptions, a licence and a hidden folder beside them."""
    for name in ("b.jsonl", "arxiv/a.jsonl.zst", "README.md", "LICENSE.txt", "dataset_infos.json", ".cache/c.jsonl"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "tree"


def test_a_folder_is_its_files_of_one_kind_by_their_paths(tree):
    assert _names(tree) == ["arxiv/a.jsonl.zst", "b.jsonl"]
    assert [file.size for file in local_files(str(tree))] == [1, 1]
    (tree / "b.jsonl").unlink()
    (tree / "arxiv/a.jsonl.zst").unlink()
    assert _names(tree) == ["dataset_infos.json"]


def test_a_glob_and_a_file_are_what_they_name(tree, monkeypatch):
    assert _names(tree / "*") == ["LICENSE.txt", "b.jsonl", "dataset_infos.json"]
    assert _names(tree / "**" / "*.zst") == ["arxiv/a.jsonl.zst"]
    assert _names(tree / "b.jsonl") == ["b.jsonl"]
    monkeypatch.chdir(tree)
    assert _names("arxiv") == _names("arxiv/*") == ["a.jsonl.zst"]


@pytest.mark.parametrize(
    ("name", "subset"),
    [
        ("arxiv_sample.jsonl", "arxiv"),
        ("cc_2019-30_sample.jsonl", "common_crawl"),
        ("common_crawl/2023-06/en_head_0000.json.gz.dedup.classifier.jsonl.zst", "common_crawl"),
        ("c4/c4-train.00000-of-01024.jsonl", "c4"),
        ("c4-train.00000-of-01024_sample.jsonl", "c4"),
        ("arxiv/arxiv_023827cd.jsonl", "arxiv"),
        ("books/part.parquet", "book"),
    ],
)
def test_redpajamas_paths_declare_their_subset(name, subset):
    file = SourceFile(f"/x/{name}", name, 0)
    assert (file.subset, file.declared_subset) == (subset, subset)


@pytest.mark.parametrize(
    ("name", "subset"),
    [
        ("alpha_sample.jsonl.zst", "alpha"),
        ("github_issues.jsonl", "github_issues"),
        ("en_head.json.gz", "en_head"),
        ("essays/a.txt", "essays"),
    ],
)
def test_other_paths_only_name_what_has_no_subset_of_its_own(name, subset):
    file = SourceFile(f"/x/{name}", name, 0)
    assert (file.subset, file.declared_subset) == (subset, None)


def _refusal(source: object) -> str:
    with pytest.raises(InputError) as caught:
        local_files(str(source))
    return str(caught.value)


def test_refuses_what_is_missing_or_of_another_kind(tmp_path):
    assert SUFFIX_LIST == ".jsonl, .json, .txt (each also .gz or .zst) or .parquet"
    expected = f"does not exist; give 'embedded', a folder, a glob, a file that ends in {SUFFIX_LIST}, or hf://datasets/OWNER/NAME"
    assert _refusal("no/where") == f"data.source no/where {expected}"
    assert _refusal(f"{tmp_path}/*.jsonl") == f"data.source {tmp_path}/*.jsonl matches no file that ends in {SUFFIX_LIST}"
    assert _refusal(tmp_path) == f"data.source {tmp_path} is a folder without a file that ends in {SUFFIX_LIST}"
    path = tmp_path / "x.csv"
    path.write_text("text\n")
    assert _refusal(path) == f"data.source {path} must end in {SUFFIX_LIST}"


def test_lists_of_addresses_are_refused_and_texts_in_folders_of_that_name_are_not(tmp_path):
    """RedPajama-Data-1T's repository on the hub holds these alone; a clone of it is no better, from whichever folder it is named."""
    lists = {"urls": b"https://example.org/a.jsonl\n" * 300, "listings": b"2023-06/0000/en_head\n\n2023-06/0001/en_head\n"}
    for folder, content in lists.items():
        path = tmp_path / folder / "arxiv.txt"
        path.parent.mkdir()
        path.write_bytes(content)
        for source in (path, path.parent, tmp_path / folder / "*.txt"):
            assert _refusal(source).startswith(f"data.source {source} lists the addresses of its text ({folder}/arxiv.txt), which are not")
    (tmp_path / "urls" / "arxiv.txt").write_text("All about https://example.org")
    assert _names(tmp_path / "urls") == ["arxiv.txt"]


def test_of_the_second_red_pajamas_layout_the_documents_are_taken(tmp_path):
    for name in ("documents/0/en.json.gz", "quality_signals/0/en.signals.json.gz", "duplicates/0/en.parquet", "minhash/0/en.parquet"):
        (tmp_path / "sample" / name).parent.mkdir(parents=True)
        (tmp_path / "sample" / name).write_bytes(b"x")
    assert _names(tmp_path) == ["sample/documents/0/en.json.gz"]
    assert _names(tmp_path / "sample") == ["documents/0/en.json.gz"]
    assert _names(tmp_path / "sample" / "duplicates") == ["0/en.parquet"]


def test_paths_that_cannot_be_used_are_one_sentence(tmp_path):
    (tmp_path / "a::b.jsonl").write_text("{}")
    expected = "has the file a::b.jsonl, and `::` in a path stands for a file within another; rename it"
    assert _refusal(tmp_path) == f"data.source {tmp_path} {expected}"
    assert _refusal("x" * 5000).endswith("x cannot be read: File name too long")
