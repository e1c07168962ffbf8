"""A builder for `datasets` whose rows are bytes: lines, or whole files, untouched by any decoding."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import datasets
import pyarrow

_BATCH_BYTES = 1 << 20


@dataclass
class BytesConfig(datasets.BuilderConfig):
    """`whole` makes one row of each file instead of one of each line."""

    whole: bool = False


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

    def _row_batches(self, files: list[Any]) -> Iterator[list[bytes]]:
        for file in files:
            # When streaming, `datasets` puts its own `open` here, which reads the hub and decompresses.
            with open(file, "rb") as stream:  # noqa: PTH123
                if self.config.whole:
                    yield [stream.read()]
                else:
                    yield from _lines(stream)


def _lines(stream: IO[bytes]) -> Iterator[list[bytes]]:
    """Yield the lines of each piece read; by `read` alone, which `datasets` tries again where a connection drops."""
    begun: list[bytes] = []
    while piece := stream.read(_BATCH_BYTES):
        first, *rest = piece.split(b"\n")
        begun.append(first)
        if rest:
            *whole, last = rest
            yield [line.removesuffix(b"\r") for line in (b"".join(begun), *whole)]
            begun = [last]
    if line := b"".join(begun):
        yield [line]
