"""Which documents validate, and in what order documents stand: both by the hash of the text."""

from hashlib import sha256

SPLIT_VERSION = 1


def document_digest(text: str) -> bytes:
    """Return the sha256 of a text, by which equal documents are found."""
    return sha256(text.encode()).digest()


def is_validation(digest: bytes, validation_fraction: float) -> bool:
    """Tell whether a document validates; adding documents or changing the seed moves none."""
    return int.from_bytes(digest[:8], "big") < validation_fraction * 2**64


def order_key(digest: bytes, seed: int) -> bytes:
    """Return what documents are sorted by: a shuffle of them that only their texts and the seed decide."""
    return sha256(b"%d:" % seed + digest).digest()
