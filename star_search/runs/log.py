"""The append-only event log of a run."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from star_search.errors import StarSearchError, unwritable


def append_line(path: Path, event: str, **fields: object) -> None:
    """Append one event with the present time; a line that a kill tore off is closed first, so that it costs no other event."""
    try:
        line = json.dumps(dict(time=datetime.now(UTC).isoformat(timespec="microseconds"), event=event, **fields), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise StarSearchError(f"{path}: event {event} cannot be written as JSON: {error}") from error
    try:
        with path.open("ab+") as file:
            file.write((b"\n" if _is_torn(file) else b"") + line.encode() + b"\n")
    except OSError as error:
        raise unwritable(path, error) from error


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the events in order, without lines that a kill tore off."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StarSearchError(f"{path} cannot be read: {error.strerror}") from error
    return [event for event in map(_parse, lines) if event is not None]


def _is_torn(file: BinaryIO) -> bool:
    if file.seek(0, 2) == 0:
        return False
    file.seek(-1, 2)
    return file.read(1) != b"\n"


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None
