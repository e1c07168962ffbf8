"""Paths as users write them."""

import os
from pathlib import Path


def expanded(text: str) -> Path:
    """Return a path with a user's folder in place of `~`; the `~` of a user who is not there stays what it is."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 - pathlib raises for that
