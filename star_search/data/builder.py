"""A builder for `datasets` whose rows are bytes: lines, or whole files, untouched by any decoding."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

import datasets
import pyarrow

_BATCH_BYTES = 1 << 20


@dataclass
class BytesConfig(datasets.BuilderConfig):
    """`whole` makes one row of each file instead of one of each line; rows of more than `longest` bytes are null."""

    whole: bool = False
    longest: int = 1 << 62


class Bytes(datasets.ArrowBasedBuilder):
    """What the `text` builder is to text; that one decodes compressed and remote files as UTF-8 and ends at the first wrong byte."""

    BUILDER_CONFIG_CLASS = BytesConfig

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(features=datasets.Features({"row": datasets.Value("large_binary")}))

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        files = dl_manager.download_and_extract(self.config.data_files)
        return [datasets.SplitGenerator(name=name, gen_kwargs={"files": list(paths)}) for name, paths in files.items()]

    def _generate_tables(self, files: list[Any]) -> Iterator[tuple[int, pyarrow.Table]]:
        for number, rows in enumerate(self._row_batches(files)):
            yield number, pyarrow.table({"row": pyarrow.array(rows, pyarrow.large_binary())})

    def _row_batches(self, files: list[Any]) -> Iterator[list[bytes | None]]:
        for file in files:
            # When streaming, `datasets` puts its own `open` here, which reads the hub and decompresses.
            with open(file, "rb") as stream:  # noqa: PTH123
                if self.config.whole:
                    yield [_whole(stream, self.config.longest)]
                else:
                    yield from _lines(stream, self.config.longest)


@dataclass
class _Row:
    """A row as its pieces come; of one that is too long only the size is held."""

    longest: int
    size: int = 0
    pieces: list[bytes] = field(default_factory=list)

    def add(self, piece: bytes) -> None:
        """Append a piece."""
        self.size += len(piece)
        if self.size <= self.longest:
            self.pieces.append(piece)
        else:
            self.pieces.clear()

    def end(self) -> bytes | None:
        """Return the row, None when it is too long."""
        return b"".join(self.pieces) if self.size <= self.longest else None


def _whole(stream: IO[bytes], longest: int) -> bytes | None:
    row = _Row(longest)
    while row.size <= longest and (piece := stream.read(_BATCH_BYTES)):
        row.add(piece)
    return row.end()


def _lines(stream: IO[bytes], longest: int) -> Iterator[list[bytes | None]]:
    """Yield the lines of each piece read; by `read` alone, which `datasets` tries again where a connection drops."""
    begun = _Row(longest)
    while piece := stream.read(_BATCH_BYTES):
        first, *rest = piece.split(b"\n")
        begun.add(first)
        if rest:
            *whole, last = rest
            yield [line and line.removesuffix(b"\r") for line in (begun.end(), *whole)]
            begun = _Row(longest)
            begun.add(last)
    if begun.size:
        yield [begun.end()]
