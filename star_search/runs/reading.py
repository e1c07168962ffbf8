"""Reading JSON that a crash, a full disk or a hand may have damaged."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from star_search.errors import InputError, StarSearchError

Read = TypeVar("Read")


class DamagedRecord(StarSearchError):
    """A file of a run that cannot be used, or a record that could not be read back; names the file and the field."""


def read_text(path: Path) -> str:
    """Return the text of a file of a run."""
    try:
        return path.read_bytes().decode()
    except OSError as error:
        raise DamagedRecord(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DamagedRecord(f"{path} is damaged: no UTF-8 text at byte {error.start}") from error


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object that a file of a run holds."""
    try:
        values = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DamagedRecord(f"{path} is damaged: no complete JSON ({error})") from error
    if not isinstance(values, dict):
        raise DamagedRecord(f"{path} is damaged: must hold a JSON object, got {type(values).__name__}")
    return values


def needed(read: Callable[[Path], Read], path: Path) -> Read:
    """Read a file without which there is nothing to use.

    Raises:
        InputError: when it cannot be used.
    """
    try:
        return read(path)
    except DamagedRecord as error:
        raise InputError(str(error)) from error
