"""Catalogues of the user's: read by path, one upon another, and again from what a run or an export keeps of them."""

import json
from pathlib import Path

import pytest
import yaml

from helpers import STAR
from star_search.errors import InputError
from star_search.genome.accounting import Accounting
from star_search.genome.catalogue import load_catalogue
from star_search.genome.encoding import Genome
from star_search.genome.genes import GroupGenome

ROW = {"name": "ReLU-Attention", "like": 3, "operator": "e2133"}


def written(folder: Path, name: str = "mine", **changes: object) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"name": name, "version": 1, "extends": "star", "classes": {60: ROW}} | changes))
    return path


def test_a_file_adds_classes_to_those_it_extends(tmp_path: Path) -> None:
    mine = load_catalogue(str(written(tmp_path)))
    assert mine.ids == [*STAR.ids, 60]
    assert mine[60].operator.format() == "e2133"
    assert mine[60].groups["k"] == GroupGenome(1, 2, 1, 4, 3)
    assert mine[60].fields == {"rotary": True}
    assert Accounting.of(Genome.parse("(60)1111"), 64, mine).operator_parameters == 5 * 64 * 64 // 2


def test_what_a_catalogue_is_kept_as_reads_the_same_again(tmp_path: Path) -> None:
    mine = load_catalogue(str(written(tmp_path)))
    kept = json.loads(json.dumps(mine.source))
    (tmp_path / "mine.yaml").unlink()
    again = load_catalogue(kept)
    assert again == mine
    assert again.source == kept
    assert STAR.source == "star"


def test_a_catalogue_with_a_shipped_name_is_not_the_shipped_one(tmp_path: Path) -> None:
    mine = load_catalogue(str(written(tmp_path, "star")))
    assert not mine.is_shipped
    assert load_catalogue(mine.source) == mine


@pytest.mark.parametrize("key", ["extends", "base"])
def test_a_file_may_build_on_one_beside_it_and_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    written(tmp_path, "first")
    rows = {"extends": {61: {"name": "Twice", "like": 60}}, "base": {1: 60, 2: 9}}
    second = written(tmp_path, "second", **({"extends": "first.yaml"} if key == "extends" else {}), classes=rows[key])
    if key == "base":
        second.write_text(yaml.safe_dump({"name": "second", "version": 1, "base": "first.yaml", "classes": rows[key]}))
    found = load_catalogue(str(second))
    assert {each.name for each in found.classes.values()} >= {"Twice" if key == "extends" else "ReLU-Attention"}
    kept = found.source
    for path in tmp_path.iterdir():
        path.unlink()
    assert load_catalogue(kept) == found


def test_shipped_catalogues_leave_ids_from_60_to_the_user() -> None:
    assert max(STAR.ids) < 60


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"classes": {60: {**ROW, "operator": "e2138"}}}, r"class 60: channel mixing 8 does not go with token mixing 2.*allowed: 3"),
        ({"classes": {60: {**ROW, "fields": {"window": 8}}}}, "class 60: fields.window is for sparsity 2"),
        ({"classes": {60: {**ROW, "operator": "e2233", "fields": {"window": 1}}}}, "tokens from 2 to 65536"),
        ({"classes": {1: ROW}}, "class 1 is SA-1 already; ids keep their meaning, take a new one"),
        ({"extends": "gone.yaml"}, "catalogue file gone.yaml does not exist"),
        ({"classes": {"sixty": ROW}}, "class id must be a whole number from 1 to 99, got 'sixty'"),
    ],
)  # fmt: skip
def test_a_fault_is_one_sentence_that_names_the_file(tmp_path: Path, changes: dict[str, object], sentence: str) -> None:
    path = written(tmp_path, **changes)
    with pytest.raises(InputError, match=sentence) as caught:
        load_catalogue(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("row", "width", "sentence"),
    [
        ({**ROW, "context": {"k": "12183", "v": "12183"}}, 64, "width 64 has 4 heads, which ReLU-Attention cannot share by 8"),
        ({"name": "Odd", "like": 14}, 320, "width 320 has 5 heads, which Odd cannot halve between its two branches"),
        ({"name": "Odd", "like": 16, "operator": "73113"}, 320, "width 320 has 5 heads, which Odd cannot halve between its two branches"),
        (ROW, 100, "width 100 must be a multiple of 8, 2 times its 4 heads, for ReLU-Attention"),
    ],
)  # fmt: skip
def test_a_width_that_a_class_does_not_fit_is_refused(tmp_path: Path, row: dict[str, object], width: int, sentence: str) -> None:
    mine = load_catalogue(str(written(tmp_path, classes={60: row})))
    with pytest.raises(InputError, match=sentence):
        Accounting.of(Genome.parse("(60)1111"), width, mine).dimensions  # noqa: B018


def test_a_file_nested_too_deeply_is_one_sentence(tmp_path):
    path = tmp_path / "deep.yaml"
    path.write_text("name: a\nversion: 1\nclasses:\n  60: {operator: " + "[" * 3000 + "]" * 3000 + "}\n")
    with pytest.raises(InputError, match=r"deep.yaml is nested too deeply to be read$"):
        load_catalogue(str(path))
