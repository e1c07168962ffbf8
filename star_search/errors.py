"""The errors that a user sees, the suggestion that goes with a misspelt name, and checks of single values."""

from collections.abc import Iterable
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any


class StarSearchError(Exception):
    """Work that failed for a reason worth one sentence; the command line prints it and exits 1."""


class InputError(StarSearchError):
    """Input that cannot be used as given; the command line prints the sentence and exits 2."""


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the nearest allowed name, or the list of allowed names when none is near."""
    names = list(allowed)
    near = get_close_matches(name, names, n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else f"; allowed: {', '.join(names)}"


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
