"""Long texts in pieces that tokenise to the same ids."""

import re
from collections.abc import Iterator

PIECE_CHARACTERS = 1_000_000
_CUT_WINDOW = 10_000
_WORD_END = re.compile(r"(?<=[^\W_])\s")


def cut(text: str) -> Iterator[str]:
    """Cut a long text, for an encoding takes some hundred times the memory of its text.

    A cut falls before white space that follows a letter or digit: there the usual patterns of byte-level tokenizers divide words
    anyway, so that the tokens are those of the whole. Only a stretch of a million characters without such a place is cut elsewhere.
    """
    start = 0
    while len(text) - start > PIECE_CHARACTERS:
        end = start + PIECE_CHARACTERS
        places = [match.start() for match in _WORD_END.finditer(text, end - _CUT_WINDOW, end)]
        if not places:
            places = [match.start() for match in _WORD_END.finditer(text, start + 1, end)]
        end = places[-1] if places else end
        yield text[start:end]
        start = end
    yield text[start:]


def batches(pieces: list[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    """Yield the pieces in order, about a million characters at a time."""
    batch, size = [], 0
    for number, piece in pieces:
        batch.append((number, piece))
        size += len(piece)
        if size >= PIECE_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
