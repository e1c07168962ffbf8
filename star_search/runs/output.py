"""What a command was asked to write: looked at before the work, so that a place that cannot be written costs one sentence and no result.

A folder is made with those that it lies in; a file lies in a folder that is there. Nothing is overwritten.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from star_search.errors import InputError, unwritable


def check_new_file(path: Path, option: str) -> None:
    """Refuse a file that is there, or whose folder is not or cannot be written.

    Raises:
        InputError: naming the file, and the option that gives another.
    """
    if os.path.lexists(path):
        raise InputError(f"{path} exists already; nothing is overwritten: give a new file with {option}")
    if not _is_folder(path.parent):
        raise InputError(f"{path.parent} is no folder, so {path.name} cannot be written there")
    _check_writable(path, path.parent)


def check_folder(folder: Path, option: str, names: Iterable[str] = ()) -> None:
    """Refuse a folder that is something else, cannot be made or written, or holds one of the names.

    Raises:
        InputError: naming the folder or the file, and the option that gives another.
    """
    if os.path.lexists(folder) and not _is_folder(folder):
        raise InputError(f"{folder} is a file; {option} needs a folder")
    for name in names:
        if os.path.lexists(folder / name):
            raise InputError(f"{folder / name} exists already; nothing is overwritten: give another folder with {option}")
    nearest = next(each for each in (folder, *folder.parents, Path()) if os.path.lexists(each))
    if not _is_folder(nearest):
        raise InputError(f"{folder} cannot be made: {nearest} is a file")
    _check_writable(folder, nearest)


def make_folder(folder: Path) -> None:
    """Make a folder, and those that it lies in.

    Raises:
        InputError: when the system refuses.
        StarSearchError: when the disk fails.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False  # one that cannot be looked at


def _check_writable(path: Path, folder: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{path} cannot be written: {folder} permits no new files")
