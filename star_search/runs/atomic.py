"""Writes that a kill or a full disk leaves either undone or complete."""

import errno
import json
import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from star_search.errors import StarSearchError, unwritable

_RETRY_SECONDS = 0.5
_FULL = (errno.ENOSPC, errno.EDQUOT)
_LEFTOVER = re.compile(r"\..+\.[0-9a-f]{32}\.tmp")


def patiently(write: Callable[[], None], limit_seconds: float) -> float:
    """Write again while the disk is full, for so many seconds, and return for how many it was: 0 where the first try succeeds.

    A search of a week must not end because a disk was full for a moment.

    Raises:
        StarSearchError: the disk stays full, or the write fails for another reason.
    """
    start, waited = time.monotonic(), 0.0
    while True:
        try:
            write()
        except StarSearchError as error:
            if getattr(error.__cause__, "errno", None) not in _FULL or waited >= limit_seconds:
                raise
        else:
            return waited
        time.sleep(_RETRY_SECONDS)
        waited = time.monotonic() - start


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by `data`, on disk when this returns; the folder is made when its own parent exists.

    Raises:
        InputError: the place cannot be written, as where it is read-only or gone; what `path` held before is untouched.
        StarSearchError: the disk is full or broken; likewise.
    """
    write_with(path, lambda temporary: _write_new(temporary, data))


def write_with(path: Path, write: Callable[[Path], None]) -> None:
    """Replace `path` by the file that `write` makes where it is told to, on disk when this returns; otherwise as `write_bytes`.

    Raises:
        InputError: the place cannot be written, as where it is read-only or gone; what `path` held before is untouched.
        StarSearchError: the disk is full or broken; likewise.
    """
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        _make_folder(path.parent)
        write(temporary)
        _sync(temporary, os.O_RDONLY)
        temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text` in UTF-8; a lone surrogate, as tracebacks may hold, is written as its escape."""
    write_bytes(path, text.encode("utf-8", errors="backslashreplace"))


def write_json(path: Path, value: object) -> None:
    """Replace `path` by `value` as JSON, keys in their own order; NaN, infinity and what JSON lacks are refused."""
    try:
        text = json.dumps(value, allow_nan=False, indent=1)
    except (TypeError, ValueError) as error:
        raise StarSearchError(f"{path} cannot be written as JSON: {error}") from error
    write_text(path, text + "\n")


def is_leftover(name: str) -> bool:
    """Return whether `name` is that of a temporary file whose writer was killed or is still at work."""
    return _LEFTOVER.fullmatch(name) is not None


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files of killed writers; only for the one process that may write to `folder`."""
    for path in folder.iterdir():
        if is_leftover(path.name):
            path.unlink(missing_ok=True)


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)


def _write_new(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)


def _sync(path: Path, how: int = os.O_RDONLY | os.O_DIRECTORY) -> None:
    descriptor = os.open(path, how)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
