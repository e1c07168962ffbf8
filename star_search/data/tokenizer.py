"""Tokenizers by name or by file: bytes, the shipped byte-level BPE, a `tokenizers` JSON file, or one on the hub."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from star_search.data.pieces import batches, cut
from star_search.errors import InputError, did_you_mean
from star_search.paths import expanded

if TYPE_CHECKING:
    import tokenizers

END_OF_TEXT = "<|endoftext|>"
# UTF-8 holds none of the other thirteen, and tokenizers in wide use (GPT-NeoX's) have no token for them.
_BYTES_OF_TEXT = {*range(256)} - {0xC0, 0xC1, *range(0xF5, 256)}
_FILE = "tokenizer.json"
_HUB_NAME = re.compile(r"(?P<repository>[A-Za-z0-9][\w.-]*/[\w.-]+)(@(?P<revision>[\w./-]+))?")
TOKENIZER_FOLDER = Path(__file__).parent / "tokenizers"
TokenArray: TypeAlias = NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True)
class Tokenizer(ABC):
    """Text to token ids and back; `definition` is its Hugging Face `tokenizers` JSON."""

    name: str
    vocabulary_size: int
    end_of_text: int
    definition: str = field(repr=False)

    @cached_property
    def fingerprint(self) -> str:
        """The sha256 of all that defines the ids."""
        return sha256(self.definition.encode()).hexdigest()

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger[Any]]:
        """The narrowest of uint16 and uint32 that holds every id."""
        return np.dtype(np.uint16 if self.vocabulary_size < 65_536 else np.uint32)

    def to_json(self) -> str:
        """Return this tokenizer as Hugging Face `tokenizers` JSON."""
        return self.definition

    @cached_property
    @abstractmethod
    def bytes_per_token(self) -> NDArray[np.int64]:
        """How many bytes of text each id stands for; none for the end of text."""

    @abstractmethod
    def encode_batch(self, texts: Sequence[str]) -> list[TokenArray]:
        """Return the ids of each text, without an end of text."""

    @abstractmethod
    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of these ids; bytes that are not UTF-8 become U+FFFD."""


@dataclass(frozen=True)
class ByteTokenizer(Tokenizer):
    """The 256 byte values as ids, and 256 as the end of text."""

    @cached_property
    def bytes_per_token(self) -> NDArray[np.int64]:
        return np.array([1] * 256 + [0])

    def encode_batch(self, texts: Sequence[str]) -> list[TokenArray]:
        return [np.frombuffer(text.encode(), dtype=np.uint8).astype(self.dtype) for text in texts]

    def decode(self, ids: Iterable[int]) -> str:
        pieces = [bytes([token]) if token < 256 else END_OF_TEXT.encode() for token in ids]
        return b"".join(pieces).decode(errors="replace")


@dataclass(frozen=True)
class FileTokenizer(Tokenizer):
    """A byte-level tokenizer that the `tokenizers` library runs."""

    @cached_property
    def _backend(self) -> tokenizers.Tokenizer:
        return _backend(self.definition)

    @cached_property
    def bytes_per_token(self) -> NDArray[np.int64]:
        counts = np.zeros(self.vocabulary_size, dtype=np.int64)
        for piece, token in self._backend.get_vocab(with_added_tokens=False).items():
            counts[token] = len(piece)
        for token, added in self._backend.get_added_tokens_decoder().items():
            counts[token] = 0 if added.special else len(added.content.encode())
        return counts

    def encode_batch(self, texts: Sequence[str]) -> list[TokenArray]:
        pieces = [(number, piece) for number, text in enumerate(texts) for piece in cut(text)]
        ids: list[list[TokenArray]] = [[] for _ in texts]
        for batch in batches(pieces):
            encodings = self._backend.encode_batch_fast([piece for _, piece in batch], add_special_tokens=False)
            for (number, _), encoding in zip(batch, encodings, strict=True):
                ids[number].append(np.array(encoding.ids, dtype=self.dtype))
        return [np.concatenate(each) if each else np.empty(0, self.dtype) for each in ids]

    def decode(self, ids: Iterable[int]) -> str:
        return str(self._backend.decode([int(token) for token in ids], skip_special_tokens=False))


def load_tokenizer(name: str) -> Tokenizer:
    """Return the tokenizer of a name: `bytes`, a shipped one, a `tokenizers` JSON file or the folder of one, or OWNER/NAME on the hub.

    Raises:
        InputError: when there is no such tokenizer, or the file cannot serve as one.
        StarSearchError: when the hub cannot be reached and the file is not in its cache.
    """
    if name == "bytes":
        return ByteTokenizer(name, vocabulary_size=257, end_of_text=256, definition=_byte_definition())
    shipped = {path.stem: path for path in sorted(TOKENIZER_FOLDER.glob("*.json"))}
    if name in shipped:
        return _read_tokenizer(name, shipped[name])
    path = expanded(name)
    try:
        is_folder, is_file = path.is_dir(), path.is_file() or path.suffix == ".json"
    except OSError as error:
        raise InputError(f"data.tokenizer {name} cannot be read: {error.strerror}") from None
    if is_folder or is_file:
        return _read_tokenizer(name, path / _FILE if is_folder else path)
    if match := _HUB_NAME.fullmatch(name):
        return _read_tokenizer(name, _from_hub(name, match["repository"], match["revision"]))
    known = did_you_mean(name, ["bytes", *shipped])
    raise InputError(f"data.tokenizer {name} is neither a shipped tokenizer, a file, nor OWNER/NAME on the hub{known}")


def _from_hub(name: str, repository: str, revision: str | None) -> Path:
    """Return the tokenizer's file in the hub's cache, fetched first when it is not there."""
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    from star_search.data.hub import hub_errors

    kept = try_to_load_from_cache(repository, _FILE, revision=revision)
    if isinstance(kept, str):
        return Path(kept)
    with hub_errors(f"data.tokenizer {name}"):
        return Path(hf_hub_download(repository, _FILE, revision=revision))


def _read_tokenizer(name: str, path: Path) -> FileTokenizer:
    try:
        definition = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"data.tokenizer {path} cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8 text'}") from None
    try:
        backend = _backend(definition)
    except Exception as error:  # the library raises nothing narrower
        raise InputError(f"data.tokenizer {path} is not a tokenizers JSON file: {error}") from None
    end_of_text = backend.token_to_id(END_OF_TEXT)
    if end_of_text is None:
        raise InputError(f"data.tokenizer {path} has no token {END_OF_TEXT}, which must end each document")
    if (json.loads(definition).get("decoder") or {}).get("type") != "ByteLevel":
        raise InputError(f"data.tokenizer {path} is not byte-level, so the bytes of its tokens cannot be counted")
    if missing := {_byte_alphabet()[byte] for byte in _BYTES_OF_TEXT} - set(backend.get_vocab(with_added_tokens=False)):
        raise InputError(
            f"data.tokenizer {path} has no token for {len(missing)} of the bytes that UTF-8 is made of: text that holds them would be lost"
        )
    if not _spells_bytes(definition):
        raise InputError(f"data.tokenizer {path} does not turn text into bytes before it divides it, so that text would be lost")
    size = max(backend.get_vocab(with_added_tokens=True).values()) + 1
    return FileTokenizer(name, vocabulary_size=size, end_of_text=end_of_text, definition=definition)


def _spells_bytes(definition: str) -> bool:
    """Tell whether the part before the model, alone or in a sequence, writes bytes as letters."""
    steps = json.loads(definition)
    return '"ByteLevel"' in json.dumps([steps.get("normalizer"), steps.get("pre_tokenizer")])


def _backend(definition: str) -> tokenizers.Tokenizer:
    import tokenizers

    backend = tokenizers.Tokenizer.from_str(definition)
    backend.no_truncation()
    backend.no_padding()
    # A document that spells out a special token is text, not the end of a document.
    backend.encode_special_tokens = True
    return backend


def _byte_definition() -> str:
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    definition = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": 256, "content": END_OF_TEXT, **flags}],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": {letter: byte for byte, letter in enumerate(_byte_alphabet())}, "merges": []},
    }
    return json.dumps(definition, ensure_ascii=False, indent=1)


def _byte_alphabet() -> list[str]:
    """Return the letter that byte-level tokenizers write for each byte: itself when printable, else one from U+0100 on."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]
