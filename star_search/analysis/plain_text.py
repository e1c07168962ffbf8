"""Text that came from outside, made safe to print: what a terminal would obey is shown as its escape."""

from __future__ import annotations

import unicodedata

# Control characters (C0, DEL, C1), marks that change the direction of writing, lone surrogates, line and paragraph separators.
_OBEYED = ("Cc", "Cf", "Cs", "Zl", "Zp")


def printable(text: str) -> str:
    r"""Return the text with every character that a terminal would obey, a line break too, as its escape: `\x1b`, `\n`, `\u202e`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(each) if unicodedata.category(each) in _OBEYED else each for each in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
