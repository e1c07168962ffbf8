"""The errors that a user sees, the suggestion that goes with a misspelt name, and checks of single values."""

import errno
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar

Word = TypeVar("Word", bound=str)


class StarSearchError(Exception):
    """Work that failed for a reason worth one sentence; the command line prints it and exits 1."""


class InputError(StarSearchError):
    """Input that cannot be used as given; the command line prints the sentence and exits 2."""


def refused_write(error: OSError, sentence: str) -> StarSearchError:
    """Return the error for what cannot be written: work that failed where a disk is full or broken, else a place that the user can mend."""
    return (StarSearchError if is_disk_failure(error) else InputError)(sentence)


def is_disk_failure(error: OSError) -> bool:
    """Return whether a disk is full or broken."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO)


def unwritable(path: Path, error: OSError, done: str = "written") -> StarSearchError:
    """Return `refused_write` with its usual sentence."""
    return refused_write(error, f"{path} cannot be {done}: {error.strerror or error}")


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the nearest allowed name, or the list of allowed names when none is near."""
    names = list(allowed)
    near = get_close_matches(name, names, n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else f"; allowed: {', '.join(names)}"


def check_word(text: str, allowed: Sequence[Word], where: str) -> Word:
    """Return the allowed word that a text is; any other is an InputError that names `where`."""
    for word in allowed:
        if text == word:
            return word
    raise InputError(f"{where} {text} is unknown{did_you_mean(text, allowed)}")


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def check_whole(value: Any, where: str, lowest: int, highest: int | None = None) -> int:
    """Return a whole number within bounds; anything else, a bool too, is an InputError that names `where`."""
    number = int(value) if isinstance(value, Integral) and not _is_bool(value) else lowest - 1
    if number < lowest or (highest is not None and number > highest):
        bounds = f"of at least {lowest}" if highest is None else f"from {lowest} to {highest}"
        raise InputError(f"{where} must be a whole number {bounds}, got {value!r}")
    return number


def check_share(value: Any, where: str) -> float:
    """Return a number of at least 0 and below 1; anything else is an InputError that names `where`."""
    number = float(value) if isinstance(value, Real) and not _is_bool(value) else -1.0
    if not 0 <= number < 1:
        raise InputError(f"{where} must be a number of at least 0 and below 1, got {value!r}")
    return number
