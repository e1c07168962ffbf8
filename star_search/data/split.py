"""Which documents validate and test, and in what order documents stand: all by the hash of the text."""

from hashlib import sha256

from star_search.config import DataConfig

SPLIT_VERSION = 2
SPLITS = ("train", "validation", "test")


def document_digest(text: str) -> bytes:
    """Return the sha256 of a text, by which equal documents are found."""
    return sha256(text.encode()).digest()


def split_of(digest: bytes, config: DataConfig, held_out: bool = False) -> str:
    """Return a document's split; adding documents or changing the seed moves none.

    Hashes from 0 up to the validation fraction of their range validate, the test fraction after it tests. With a held-out source,
    its documents go to those two alone, in the same proportion, and all others train.
    """
    validation, test = config.validation_fraction, config.test_fraction
    place = int.from_bytes(digest[:8], "big") / 2**64
    if config.held_out_source is not None:
        if not held_out:
            return "train"
        place *= validation + test
    if place < validation:
        return "validation"
    return "test" if place < validation + test else "train"


def order_key(digest: bytes, seed: int) -> bytes:
    """Return what documents are sorted by: a shuffle of them that only their texts and the seed decide."""
    return sha256(b"%d:" % seed + digest).digest()
