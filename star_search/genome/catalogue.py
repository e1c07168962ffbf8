"""Catalogues: the tables that map a LIV class id to its operator and featurizer genomes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from star_search.errors import InputError, check_whole, did_you_mean
from star_search.genome.catalogue_rows import HIGHEST_ID, check_keys, check_text, read_class
from star_search.genome.liv_class import LIVClass
from star_search.paths import expanded
from star_search.yaml_loading import read_yaml_mapping

FOLDER = Path(__file__).parent / "catalogues"
_KEYS = ("name", "version", "base", "extends", "classes")


@dataclass(frozen=True)
class Catalogue:
    """A named, versioned table of LIV classes; `data` is what it was read from, enough to read it again elsewhere."""

    name: str
    version: int
    classes: Mapping[int, LIVClass]
    data: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __getitem__(self, class_id: int) -> LIVClass:
        try:
            return self.classes[class_id]
        except KeyError:
            raise InputError(f"catalogue {self.name} has no LIV class {class_id}; it has {self.span()}") from None

    def __contains__(self, class_id: int) -> bool:
        return class_id in self.classes

    @property
    def ids(self) -> list[int]:
        """The ids of its classes."""
        return list(self.classes)

    @property
    def is_shipped(self) -> bool:
        """Whether its name alone says what it holds."""
        return self.name in shipped_catalogues() and load_catalogue(self.name) == self

    @property
    def source(self) -> str | dict[str, Any]:
        """What `load_catalogue` reads it from again anywhere, plain as JSON: the name of a shipped one, all of one of the user's."""
        return self.name if self.is_shipped else json.loads(json.dumps(self.data))

    @property
    def self_contained(self) -> dict[str, Any]:
        """All that stands in it and in what it builds on, plain as JSON: enough to read it where no catalogue ships."""
        others = {key: load_catalogue(self.data[key]).self_contained for key in ("base", "extends") if key in self.data}
        return json.loads(json.dumps({**self.data, **others}))

    def span(self) -> str:
        """Return the ids as a short text, `1 to 27, 101, 102`."""
        ids = sorted(self.classes)
        starts = [each for each in ids if each - 1 not in self.classes]
        ends = [each for each in ids if each + 1 not in self.classes]
        return ", ".join(f"{first}" if first == last else f"{first} to {last}" for first, last in zip(starts, ends, strict=True))

    def find(self, key: int | str) -> LIVClass:
        """Return a class by id or by name.

        Raises:
            InputError: when there is none, with the nearest name.
        """
        if isinstance(key, int) or (key.isascii() and key.isdigit()):
            return self[int(key)]
        by_name = {liv_class.name.lower(): liv_class for liv_class in self.classes.values()}
        if key.lower() not in by_name:
            names = [liv_class.name for liv_class in self.classes.values()]
            raise InputError(f"catalogue {self.name} has no LIV class '{key}'{did_you_mean(key, names)}")
        return by_name[key.lower()]

    def with_classes(self, classes: Mapping[int, LIVClass]) -> Catalogue:
        """Return the catalogue with further classes."""
        return replace(self, classes={**self.classes, **classes}) if classes else self


def shipped_catalogues() -> list[str]:
    """Return the names of the catalogues that ship with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def as_catalogue(catalogue: Catalogue | str) -> Catalogue:
    """Return the catalogue itself, or the one that a name or path means."""
    return load_catalogue(catalogue) if isinstance(catalogue, str) else catalogue


def load_catalogue(source: str | Mapping[str, Any]) -> Catalogue:
    """Return a shipped catalogue by name, or one of the user's by the path of its YAML file or by what stands in it.

    Raises:
        InputError: for an unknown name, or naming the class and gene that is wrong.
    """
    if isinstance(source, Mapping):
        return catalogue_from(source, f"catalogue {source.get('name')}")
    return _shipped(source) if source in shipped_catalogues() else _from_file(source)


@cache
def _shipped(name: str) -> Catalogue:
    return catalogue_from(read_yaml_mapping(FOLDER / f"{name}.yaml"), f"catalogue {name}")


def _from_file(name: str) -> Catalogue:
    path = expanded(name)
    if path.is_file():
        return catalogue_from(_self_contained(path), f"catalogue {name}")
    if path.suffix in (".yaml", ".yml") or path.name != name:
        raise InputError(f"catalogue file {name} does not exist")
    raise InputError(f"unknown catalogue '{name}'{did_you_mean(name, shipped_catalogues())}")


def _self_contained(path: Path, above: tuple[Path, ...] = ()) -> Mapping[str, Any]:
    """Return what stands in a file with another file that it builds on, found from its folder, in place of that one's path."""
    if path.resolve() in above:
        raise InputError(f"catalogue {path} builds on itself")
    data = read_yaml_mapping(path)
    for key in ("base", "extends"):
        other = data.get(key)
        if isinstance(other, str) and other not in shipped_catalogues() and (path.parent / other).is_file():
            data = {**data, key: dict(_self_contained(path.parent / other, (*above, path.resolve())))}
    return data


def catalogue_from(data: Mapping[str, Any], where: str) -> Catalogue:
    """Build a catalogue from plain values; `where` names their origin in error messages.

    `extends: star` keeps that catalogue's classes and adds rows under new ids; `base: star` takes, for every id, the class of another id.

    Raises:
        InputError: naming the key, class or gene that is wrong.
    """
    check_keys(data, _KEYS, where)
    if "base" in data and "extends" in data:
        raise InputError(f"{where}: base and extends cannot stand together")
    name, version = check_text(data.get("name"), f"{where}: name"), check_whole(data.get("version"), f"{where}: version", 1)
    rows = data.get("classes")
    if not isinstance(rows, Mapping) or not rows:
        raise InputError(f"{where}: classes must map ids to classes, got {rows!r}")
    if all(isinstance(key, str) and key.isdecimal() for key in rows):
        rows = _as_written({int(key): row for key, row in rows.items()})
    for class_id in rows:
        check_whole(class_id, f"{where}: class id", 1, HIGHEST_ID)
    if "base" in data:
        base = _other(data["base"], f"{where}: base")
        chosen = {new: replace(base[check_whole(old, f"{where}: class {new}", 1)], id=new) for new, old in rows.items()}
        twice = [new for new, old in rows.items() if list(rows.values()).index(old) != list(rows).index(new)]
        if twice:
            raise InputError(f"{where}: class {twice[0]} is class {rows[twice[0]]} of {base.name}, which has an id already")
        return Catalogue(name, version, chosen, dict(data))
    classes = dict(_other(data["extends"], f"{where}: extends").classes) if "extends" in data else {}
    for class_id, row in rows.items():
        if class_id in classes:
            raise InputError(f"{where}: class {class_id} is {classes[class_id].name} already; ids keep their meaning, take a new one")
        classes[class_id] = read_class(class_id, row, classes, where)
    return Catalogue(name, version, classes, dict(data))


def _as_written(rows: Mapping[int, Any]) -> dict[int, Any]:
    """Return rows that come from JSON, whose keys are text and may have been sorted as such: every row after the one that it is like."""
    ordered: dict[int, Any] = {}
    while ready := [key for key in sorted(rows.keys() - ordered.keys()) if _is_ready(rows[key], rows, ordered)]:
        ordered[ready[0]] = rows[ready[0]]
    return ordered | {key: row for key, row in rows.items() if key not in ordered}


def _is_ready(row: Any, rows: Mapping[int, Any], ordered: Mapping[int, Any]) -> bool:
    like = row.get("like") if isinstance(row, Mapping) else None
    return not isinstance(like, int) or like in ordered or like not in rows


def _other(source: Any, where: str) -> Catalogue:
    return load_catalogue(source if isinstance(source, Mapping) else check_text(source, where))
