"""What a run remembers of its candidates and generations, checked on the way out and on the way in."""

import json
import math
import reprlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum, auto
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from star_search.runs.atomic import write_json
from star_search.runs.reading import DamagedRecord, read_json


class Outcome(StrEnum):
    """How a candidate ended; only `ok` has objectives that selection may use."""

    ok = auto()
    stopped = auto()
    unstable = auto()
    degenerate = auto()
    out_of_memory = auto()
    timeout = auto()
    crashed = auto()
    rejected = auto()


@dataclass(frozen=True, slots=True)
class _Record:
    def comparable(self) -> dict[str, Any]:
        """Return all that equal runs have in common: every field but `measured`."""
        values = asdict(self)
        del values["measured"]
        return values


@dataclass(frozen=True, slots=True)
class CandidateRecord(_Record):
    """One genome in one run; `measured` alone holds what differs between equal runs (seconds, worker, peak memory)."""

    id: int
    generation: int
    genome: str
    canonical: str
    outcome: Outcome
    reason: str
    objectives: dict[str, float]
    seed: int
    tokens: int
    details: dict[str, Any]
    lineage: dict[str, Any]
    measured: dict[str, Any]


@dataclass(frozen=True, slots=True)
class GenerationRecord(_Record):
    """One finished generation: candidate ids, and the rates of its mating; `measured` as in `CandidateRecord`."""

    generation: int
    offspring: list[int]
    population: list[int]
    front: list[int]
    rates: dict[str, float]
    outcomes: dict[str, int]
    tokens: int
    measured: dict[str, Any]


Record = TypeVar("Record", CandidateRecord, GenerationRecord)


def lost_tokens(record: CandidateRecord | GenerationRecord) -> int:
    """Return the tokens of tries that ended with their worker, killed or dead: as many as it had reported, no more than it trained on."""
    return int(record.measured.get("lost_tokens", 0))


def spent_tokens(record: CandidateRecord | GenerationRecord) -> int:
    """Return all tokens that were spent: those that led to the outcome, and the lost ones."""
    return record.tokens + lost_tokens(record)


_HINTS: dict[type[_Record], dict[str, Any]] = {kind: get_type_hints(kind) for kind in (CandidateRecord, GenerationRecord)}


def read_record(kind: type[Record], path: Path) -> Record:
    """Read a record and check every field.

    Raises:
        DamagedRecord: naming the file and the field.
    """
    values = read_json(path)
    hints = _HINTS[kind]
    # What was read as JSON is plain already, and numbers that are not finite are found fastest by writing it again.
    _check(hints, values, path, plain=_is_finite(values))
    fields: dict[str, Any] = {name: Outcome(values[name]) if hint is Outcome else values[name] for name, hint in hints.items()}
    return kind(**fields)


def write_record(path: Path, record: CandidateRecord | GenerationRecord) -> None:
    """Write a record that `read_record` gives back equal; a record for which it could not is refused."""
    values = asdict(record)
    _check(_HINTS[type(record)], values, path)
    write_json(path, values)


def _is_finite(values: dict[str, Any]) -> bool:
    try:
        json.dumps(values, allow_nan=False)
    except ValueError:
        return False
    return True


def _check(hints: dict[str, Any], values: dict[str, Any], path: Path, plain: bool = False) -> None:
    for name, hint in hints.items():
        if name not in values:
            raise DamagedRecord(f"{path}: {name} is missing")
        if not plain:
            _check_plain(values[name], name, path)
        allowed, fits = _RULES[hint]
        if not fits(values[name]):
            raise DamagedRecord(f"{path}: {name} must be {allowed}, got {reprlib.repr(values[name])}")
    if not _is_count(lost := values["measured"].get("lost_tokens", 0)):
        raise DamagedRecord(f"{path}: measured.lost_tokens must be {_RULES[int][0]}, got {reprlib.repr(lost)}")


def _check_plain(value: object, name: str, path: Path) -> None:
    """Refuse what JSON would not give back as it was: NaN, infinity, tuples, keys that are not text, foreign types."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise DamagedRecord(f"{path}: the keys of {name} must be text, got {key!r}")
            _check_plain(inner, f"{name}.{key}", path)
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            _check_plain(inner, f"{name}[{position}]", path)
    elif isinstance(value, float) and not math.isfinite(value):
        raise DamagedRecord(f"{path}: {name} must be finite, got {value}")
    elif not (value is None or isinstance(value, bool | int | float | str)):
        raise DamagedRecord(f"{path}: {name} must be plain JSON data, got {reprlib.repr(value)}")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_RULES: dict[object, tuple[str, Callable[[Any], bool]]] = {
    int: ("a whole number of at least 0", _is_count),
    str: ("text", lambda value: isinstance(value, str)),
    Outcome: (f"one of {', '.join(Outcome)}", lambda value: isinstance(value, str) and value in list(Outcome)),
    list[int]: ("a list of whole numbers of at least 0", lambda value: isinstance(value, list) and all(map(_is_count, value))),
    dict[str, int]: ("whole numbers by name", lambda value: isinstance(value, dict) and all(map(_is_count, value.values()))),
    dict[str, float]: ("numbers by name", lambda value: isinstance(value, dict) and all(map(_is_number, value.values()))),
    dict[str, Any]: ("values by name", lambda value: isinstance(value, dict)),
}
