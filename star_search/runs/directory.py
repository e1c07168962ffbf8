"""The folder that holds everything a run knows."""

import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from star_search.errors import InputError, StarSearchError, unwritable
from star_search.runs.atomic import is_leftover, remove_leftovers, write_json, write_text
from star_search.runs.lock import LOCK_NAME, RunLock
from star_search.runs.log import append_line, read_lines
from star_search.runs.reading import DamagedRecord, needed, read_json, read_text
from star_search.runs.records import CandidateRecord, GenerationRecord, Record, read_record, write_record

SCHEMA = 1

Read = TypeVar("Read")

_RUN, _CONFIG, _PROVENANCE = "run.json", "config.yaml", "provenance.json"
_ID, _GENERATION = r"\d{5}|[1-9]\d{5,}", r"\d{2}|[1-9]\d{2,}"


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """A run on disk. Anyone may read it at any time; only a process inside `writing()` may write to it."""

    path: Path
    name: str
    created_ns: int

    @classmethod
    def create(cls, path: Path, name: str, config_yaml: str, provenance: dict[str, Any]) -> "RunDirectory":
        """Begin a run in a new or empty folder, or in one where a killed `create` stopped half-way.

        Raises:
            InputError: the path is a file, holds a run or anything else, or another process is creating a run there.
        """
        _refuse_occupied(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(path, error, "made") from error
        with RunLock(path):
            _refuse_occupied(path)  # another process may have been faster
            write_text(path / _CONFIG, config_yaml)
            write_json(path / _PROVENANCE, provenance)
            write_json(path / _RUN, _identity(name, time.time_ns()))  # last: it makes the folder a run
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> "RunDirectory":
        """Open a run.

        Raises:
            InputError: there is no run at the path, or one that this version cannot read.
        """
        if not is_run(path):
            raise InputError(_why_no_run(path))
        values = needed(read_json, path / _RUN)
        if values.get("schema") != SCHEMA:
            raise InputError(f"{path} has schema version {values.get('schema')!r}, this star-search reads version {SCHEMA}")
        name, created_ns = values.get("name"), values.get("created_ns")
        if not (isinstance(name, str) and isinstance(created_ns, int)):
            raise InputError(f"{path / _RUN} is damaged: name must be text and created_ns a whole number, got {name!r} and {created_ns!r}")
        return cls(path, name, created_ns)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the lock of the run, leftovers of killed writers removed."""
        with RunLock(self.path):
            self.clean_leftovers()
            yield

    @property
    def config_yaml(self) -> str:
        """The resolved configuration; a file that is missing or no text is an InputError."""
        return needed(read_text, self.path / _CONFIG)

    @property
    def provenance(self) -> dict[str, Any]:
        """Versions, seeds, device, threads and data fingerprint; a file that is missing or damaged is an InputError."""
        return needed(read_json, self.path / _PROVENANCE)

    def update_config(self, config_yaml: str) -> None:
        """Replace the configuration, for a run that is extended."""
        write_text(self.path / _CONFIG, config_yaml)

    def update_provenance(self, provenance: dict[str, Any]) -> None:
        """Replace the provenance, for a run that is extended."""
        write_json(self.path / _PROVENANCE, provenance)

    def write_candidate(self, record: CandidateRecord) -> None:
        """Store a candidate; a record that could not be read back equal (NaN, tuples) is refused."""
        write_record(self.candidate_path(record.id), record)

    def candidate_path(self, id: int) -> Path:
        """Return where a candidate is stored."""
        return self.path / "candidates" / f"{id:05d}.json"

    def read_candidates(self) -> tuple[list[CandidateRecord], list[str]]:
        """Return the candidates in the order of their ids, and one sentence per damaged file."""
        paths = _numbered(self.path / "candidates", rf"({_ID})\.json").values()
        return _collect(CandidateRecord, paths, lambda record: self.candidate_path(record.id))

    def write_generation(self, record: GenerationRecord) -> None:
        """Store a generation, which makes it count as finished; what it lists must be written before it."""
        write_record(self.generation_path(record.generation), record)

    def read_generations(self) -> tuple[list[GenerationRecord], list[str]]:
        """Return the finished generations in order, and one sentence per damaged file."""
        paths = map(self.generation_path, self.generation_numbers())
        return _collect(GenerationRecord, paths, lambda record: self.generation_path(record.generation))

    def generation_numbers(self) -> list[int]:
        """Return the numbers of the finished generations, those with a damaged file included."""
        folders = _numbered(self.path, rf"gen({_GENERATION})")
        return [number for number in folders if self.generation_path(number).is_file()]

    def generation_path(self, generation: int) -> Path:
        """Return where a generation is stored."""
        return self.path / f"gen{generation:02d}" / "generation.json"

    def write_traceback(self, id: int, text: str) -> None:
        """Store why a candidate crashed, beside its record."""
        write_text(self.traceback_path(id), text)

    def traceback_path(self, id: int) -> Path:
        """Return where the traceback of a candidate is stored."""
        return self.path / "candidates" / f"{id:05d}.traceback.txt"

    def weights_path(self, id: int) -> Path:
        """Return where the weights of a candidate are stored; write them with `atomic.write_bytes`."""
        return self.path / "weights" / f"{id:05d}.safetensors"

    def prune_weights(self, keep: set[int]) -> None:
        """Delete the weights of all candidates but these."""
        for id, path in _numbered(self.path / "weights", rf"({_ID})\.safetensors").items():
            if id not in keep:
                _delete(path)

    def append_event(self, event: str, **fields: object) -> None:
        """Append an event and its fields to the log, with the present time."""
        append_line(self.path / "log.jsonl", event, **fields)

    def read_events(self) -> list[dict[str, Any]]:
        """Return the events in order: `time`, `event` and the fields of each."""
        return read_lines(self.path / "log.jsonl")

    def clean_leftovers(self) -> None:
        """Delete the temporary files of killed writers; only for the holder of the lock."""
        for folder in [self.path, *(path for path in self.path.iterdir() if path.is_dir())]:
            remove_leftovers(folder)


def is_run(path: Path) -> bool:
    """Return whether the folder holds a run, complete since its creation."""
    try:
        return (path / _RUN).is_file()
    except OSError:
        return False  # a folder that cannot be looked into


def _identity(name: str, created_ns: int) -> dict[str, Any]:
    seconds, nanoseconds = divmod(created_ns, 10**9)
    created = datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanoseconds // 1000)
    return {"schema": SCHEMA, "name": name, "created": created.isoformat(timespec="microseconds"), "created_ns": created_ns}


def _refuse_occupied(path: Path) -> None:
    if path.is_file():
        raise InputError(f"{path} is a file; a run needs a new or empty folder")
    if is_run(path):
        raise InputError(f"{path} holds a run already; --resume continues it")
    names = {each.name for each in path.iterdir()} if path.is_dir() else set()
    # `create` makes the lock before all else: without it, a lone config.yaml is the user's own.
    ours = LOCK_NAME in names and all(name in (LOCK_NAME, _CONFIG, _PROVENANCE) or is_leftover(name) for name in names)
    if names and not ours:
        raise InputError(f"{path} is not empty and holds no run; a run needs a new or empty folder")


def _why_no_run(path: Path) -> str:
    if path.is_dir():
        return f"{path} is no run: it has no {_RUN}"
    return f"{path} is a file, not a run folder" if path.exists() else f"{path} does not exist"


def _numbered(folder: Path, pattern: str) -> dict[int, Path]:
    """Return what `folder` holds by the number in its name, in the order of the numbers."""
    if not folder.is_dir():
        return {}
    matches = ((re.fullmatch(pattern, path.name, re.ASCII), path) for path in folder.iterdir())
    return dict(sorted((int(match[1]), path) for match, path in matches if match))


def _collect(kind: type[Record], paths: Iterable[Path], home: Callable[[Record], Path]) -> tuple[list[Record], list[str]]:
    records, problems = [], []
    for path in paths:
        try:
            record = read_record(kind, path)
            if home(record) != path:
                raise DamagedRecord(f"{path} is damaged: by its number it belongs in {home(record)}")
            records.append(record)
        except DamagedRecord as error:
            problems.append(str(error))
    return records, problems


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StarSearchError(f"{path} cannot be deleted: {error.strerror}") from error
