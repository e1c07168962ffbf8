"""Parts to a store: documents put in the order of their keys, equal ones dropped, each subset cut to its share.

Documents are sorted bucket by bucket of their keys' range, and a bucket holds about `_BUCKET_TOKENS` tokens: memory does not grow
with the corpus. Equal documents have equal keys, and so meet in one bucket.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from star_search.config import DataConfig
from star_search.data.mixture import Mixture, check_count
from star_search.data.split import SPLITS
from star_search.data.tokenise import ROW, Part, read_rows
from star_search.data.tokenizer import TokenArray, Tokenizer
from star_search.data.tokens import DOCUMENT, SHARD_TOKENS, ArrayWriter, TokensWriter, documents_path
from star_search.errors import StarSearchError

_BUCKET_TOKENS = 1 << 25
_ROWS_IN_MEMORY = 1 << 20


@dataclass
class Layout:
    """Parts in one folder, to be laid out as a store in another."""

    parts: list[Part]
    part_folder: Path
    folder: Path
    tokenizer: Tokenizer
    config: DataConfig

    def __post_init__(self) -> None:
        self._mixture = Mixture.from_config(self.config)
        self.subsets = sorted({subset for part in self.parts for subset in part.subsets})
        check_count(len(self.subsets), self.config.source)
        tokens = sum(sum(part.tokens.values()) for part in self.parts)
        self._bucket_bits = (tokens // _BUCKET_TOKENS).bit_length()
        self._bucket_folder = self.part_folder / "buckets"

    def write(self) -> dict[str, Any]:
        """Write shards and tables of documents, and return the counts that the index holds."""
        self._distribute()
        duplicates = self._keep(_firsts)
        surplus = self._keep(_Quotas(self._quotas(), self.subsets))
        splits = {split: self._write_split(split) for split in SPLITS}
        return {
            "subsets": self.subsets,
            "shard_tokens": SHARD_TOKENS,
            "duplicates_dropped": duplicates,
            "left_out": surplus,
            "splits": splits,
        }

    def _quotas(self) -> dict[str, dict[str, int]]:
        """Return the tokens that each subset is to have in each split; a budget is divided as the tokens there are."""
        available = {split: {name: counts["tokens"] for name, counts in self._counts(split).items()} for split in SPLITS}
        totals = {split: sum(counts.values()) for split, counts in available.items()}
        budgeted = sum(totals.values()) if not self.config.held_out_source else totals["train"]
        scale = 1.0 if self.config.tokens is None else min(1.0, self.config.tokens / max(1, budgeted))
        scales = {split: scale if split == "train" or not self.config.held_out_source else 1.0 for split in SPLITS}
        return {split: self._mixture.quotas(available[split], int(totals[split] * scales[split])) for split in SPLITS}

    def _distribute(self) -> None:
        """Write each bucket's rows into a file of its own."""
        self._bucket_folder.mkdir(exist_ok=True)
        for bucket in range(1 << self._bucket_bits):
            self._path(bucket).write_bytes(b"")
        for rows in self._rows_of_parts():
            buckets = rows["key"][:, 0] >> np.uint64(1) >> np.uint64(63 - self._bucket_bits)
            order = np.argsort(buckets, kind="stable")
            numbers, firsts = np.unique(buckets[order], return_index=True)
            for number, members in zip(numbers.tolist(), np.split(order, firsts[1:]), strict=True):
                with self._path(number).open("ab") as stream:
                    stream.write(rows[members].data)

    def _rows_of_parts(self) -> Iterator[NDArray[Any]]:
        held: list[NDArray[Any]] = []
        places = {name: place for place, name in enumerate(self.subsets)}
        for number, part in enumerate(self.parts):
            rows = read_rows(self.part_folder, part)
            rows["part"] = number
            rows["subset"] = np.array([places[name] for name in part.subsets], np.uint16)[rows["subset"]]
            held.append(rows)
            if sum(map(len, held)) >= _ROWS_IN_MEMORY:
                yield np.concatenate(held)
                held = []
        if any(map(len, held)):
            yield np.concatenate(held)

    def _path(self, bucket: int) -> Path:
        return self._bucket_folder / f"{bucket:06d}.rows"

    def _buckets(self) -> Iterator[NDArray[Any]]:
        return (np.fromfile(self._path(bucket), ROW) for bucket in range(1 << self._bucket_bits))

    def _keep(self, choose: Callable[[NDArray[Any]], NDArray[Any]]) -> int:
        """Replace each bucket's rows by those chosen, and return how many are left out."""
        left_out = 0
        for bucket, rows in enumerate(self._buckets()):
            chosen = choose(rows)
            left_out += len(rows) - len(chosen)
            self._path(bucket).write_bytes(chosen.data)
        return left_out

    def _counts(self, split: str) -> dict[str, dict[str, int]]:
        """Return documents, tokens and bytes of each subset that the split has."""
        totals = {name: np.zeros(len(self.subsets), np.int64) for name in ("documents", "tokens", "bytes")}
        for rows in self._buckets():
            mine = rows[rows["split"] == SPLITS.index(split)]
            totals["documents"] += np.bincount(mine["subset"], minlength=len(self.subsets))
            for name in ("tokens", "bytes"):
                np.add.at(totals[name], mine["subset"], mine[name])
        found = {subset: {name: int(total[index]) for name, total in totals.items()} for index, subset in enumerate(self.subsets)}
        return {subset: counts for subset, counts in found.items() if counts["documents"]}

    def _write_split(self, split: str) -> dict[str, Any]:
        by_subset = self._counts(split)
        total = {name: sum(counts[name] for counts in by_subset.values()) for name in ("documents", "tokens", "bytes")}
        tokens = TokensWriter(self.folder, split, self.tokenizer.dtype, total["tokens"], SHARD_TOKENS)
        documents = ArrayWriter(documents_path(self.folder, split), DOCUMENT, total["documents"])
        end, token_bytes = 0, np.zeros(len(self.subsets), np.int64)
        for rows in self._buckets():
            mine = rows[rows["split"] == SPLITS.index(split)]
            table = np.empty(len(mine), DOCUMENT)
            table["end"] = end + np.cumsum(mine["tokens"], dtype=np.uint64)
            table["key"], table["subset"] = mine["key"], mine["subset"]
            documents.write(table)
            ids, spelt = self._gather(mine)
            tokens.write(ids)
            np.add.at(token_bytes, mine["subset"], spelt)
            end += int(mine["tokens"].sum(dtype=np.int64))
        tokens.close()
        documents.close()
        for name, counts in by_subset.items():
            counts["token_bytes"] = int(token_bytes[self.subsets.index(name)])
        return {**total, "subsets": by_subset}

    def _gather(self, rows: NDArray[Any]) -> tuple[TokenArray, NDArray[np.int64]]:
        """Return the tokens of these documents, and how many bytes those of each stand for: not its text's where a tokenizer normalises.

        Each part is opened once, and read from front to back.
        """
        bytes_per_token, spelt = self.tokenizer.bytes_per_token, np.empty(len(rows), np.int64)
        ends = np.cumsum(rows["tokens"], dtype=np.int64)
        tokens = np.empty(int(ends[-1]) if len(ends) else 0, self.tokenizer.dtype)
        order = np.lexsort((rows["start"], rows["part"]))
        for part, members in groupby(order.tolist(), key=lambda index: int(rows["part"][index])):
            with (self.part_folder / f"{self.parts[part].name}.tokens").open("rb") as stream:
                for index in members:
                    stream.seek(int(rows["start"][index]) * tokens.itemsize)
                    place = tokens[ends[index] - int(rows["tokens"][index]) : ends[index]]
                    if stream.readinto(place.data) != place.nbytes:
                        raise StarSearchError(f"{stream.name} is cut off; delete {self.folder}, and the same command begins anew")
                    spelt[index] = bytes_per_token[place].sum()
        return tokens, spelt


def _firsts(rows: NDArray[Any]) -> NDArray[Any]:
    """Return the rows in the order of their keys, of equal documents the first read alone."""
    rows = rows[np.lexsort((rows["read"], rows["key"][:, 1], rows["key"][:, 0]))]
    first = np.ones(len(rows), bool)
    first[1:] = (rows["key"][1:] != rows["key"][:-1]).any(axis=1)
    return rows[first]


class _Quotas:
    """Takes of each subset the first documents, in the order of keys, until its quota of tokens is there: the last may go beyond it."""

    def __init__(self, quotas: dict[str, dict[str, int]], subsets: list[str]) -> None:
        self._left = np.array([[quotas[split].get(subset, 0) for subset in subsets] for split in SPLITS], np.int64)

    def __call__(self, rows: NDArray[Any]) -> NDArray[Any]:
        keep = np.zeros(len(rows), bool)
        for split, subset in np.ndindex(self._left.shape):
            mine = np.flatnonzero((rows["split"] == split) & (rows["subset"] == subset))
            tokens = rows["tokens"][mine].astype(np.int64)
            keep[mine] = np.cumsum(tokens) - tokens < self._left[split, subset]
            self._left[split, subset] -= tokens[keep[mine]].sum()
        return rows[keep]
