"""Which documents validate and test, and in what order documents stand: all by the hash of the text."""

from hashlib import sha256

SPLIT_VERSION = 2
SPLITS = ("train", "validation", "test")


def document_digest(text: str) -> bytes:
    """Return the sha256 of a text, by which equal documents are found."""
    return sha256(text.encode()).digest()


def split_of(digest: bytes, validation_fraction: float, test_fraction: float, held_out: bool = False) -> str:
    """Return a document's split; adding documents or changing the seed moves none.

    Hashes from 0 up to the validation fraction of their range validate, the test fraction after it tests. Documents of a source
    that is all held out go to those two alone, in the same proportion.
    """
    place = int.from_bytes(digest[:8], "big") / 2**64
    if held_out:
        place *= validation_fraction + test_fraction
    if place < validation_fraction:
        return "validation"
    return "test" if held_out or place < validation_fraction + test_fraction else "train"


def order_key(digest: bytes, seed: int) -> bytes:
    """Return what documents are sorted by: a shuffle of them that only their texts and the seed decide."""
    return sha256(b"%d:" % seed + digest).digest()
