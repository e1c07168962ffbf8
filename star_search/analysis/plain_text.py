"""Text that came from outside, made safe to print: what a terminal would obey is shown as its escape."""

from __future__ import annotations

import os
import shlex
import unicodedata

# Control characters (C0, DEL, C1), marks that change the direction of writing, lone surrogates, line and paragraph separators.
_OBEYED = ("Cc", "Cf", "Cs", "Zl", "Zp")


def printable(text: str) -> str:
    r"""Return the text with every character that a terminal would obey, a line break too, as its escape: `\x1b`, `\n`, `\u202e`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(each) if unicodedata.category(each) in _OBEYED else each for each in text)


def shell_word(text: str) -> str:
    r"""Return the text as one word of a command to copy: quoted, and in `$'..'` (bash, zsh) where `printable` would escape anything."""
    if printable(text) == text:
        return shlex.quote(text)
    escaped = (each if printable(each) == each else "".join(f"\\x{byte:02x}" for byte in os.fsencode(each)) for each in _quoted(text))
    return f"$'{''.join(escaped)}'"


def _quoted(text: str) -> str:
    return text.replace("\\", r"\\").replace("'", r"\'")


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
