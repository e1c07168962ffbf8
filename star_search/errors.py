"""The errors that a user sees, and the suggestion that goes with a misspelt name."""

from collections.abc import Iterable
from difflib import get_close_matches


class StarSearchError(Exception):
    """Work that failed for a reason worth one sentence; the command line prints it and exits 1."""


class InputError(StarSearchError):
    """Input that cannot be used as given; the command line prints the sentence and exits 2."""


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the nearest allowed name, or the list of allowed names when none is near."""
    names = list(allowed)
    near = get_close_matches(name, names, n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else f"; allowed: {', '.join(names)}"
