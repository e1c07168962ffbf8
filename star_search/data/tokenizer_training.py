"""Training a byte-level BPE on the training documents of a corpus."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from star_search.config import DataConfig
from star_search.data.corpus import read_documents
from star_search.data.split import document_digest, split_of
from star_search.data.store import TokenStore, prepare
from star_search.data.tokenizer import END_OF_TEXT
from star_search.errors import InputError

if TYPE_CHECKING:
    import tokenizers

SMALLEST_VOCABULARY = 257
# The trainer takes memory for all of them before it begins.
LARGEST_VOCABULARY = 1_000_000


def training_texts(config: DataConfig, cache_folder: Path) -> Iterator[str]:
    """Yield the texts that a tokenizer may see: no validation or test document is among them.

    Within a budget of tokens they are those of the store that the same configuration gives; for want of a tokenizer, a token is a byte.
    """
    if config.tokens is not None:
        yield from _texts(prepare(config.model_copy(update={"store": None, "tokenizer": "bytes"}), cache_folder))
        return
    for document, held_out in read_documents(config, cache_folder):
        if split_of(document_digest(document.text), config, held_out) == "train":
            yield document.text


def _texts(store: TokenStore) -> Iterator[str]:
    ends = store.train.documents()["end"].astype(int).tolist()
    for start, end in pairwise([0, *ends]):
        yield store.tokenizer.decode(store.train[start : end - 1].tolist())


def train_tokenizer(texts: Iterator[str], vocabulary_size: int) -> tokenizers.Tokenizer:
    """Return a byte-level BPE of exactly this many entries, the 256 bytes and the end of text among them.

    Raises:
        InputError: for fewer than 257 or more than a million, or when the texts do not fill the vocabulary.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    if not SMALLEST_VOCABULARY <= vocabulary_size <= LARGEST_VOCABULARY:
        bounds = f"from {SMALLEST_VOCABULARY}, the bytes and the end of text, to {LARGEST_VOCABULARY:,}"
        raise InputError(f"--vocabulary-size must be {bounds}, got {vocabulary_size}")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=vocabulary_size, special_tokens=[END_OF_TEXT], initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    if tokenizer.get_vocab_size() < vocabulary_size:
        raise InputError(f"--vocabulary-size {vocabulary_size} is more than this text gives: {tokenizer.get_vocab_size()}")
    return tokenizer
