"""Reading `.zst` files of any number of frames, to the end or to an error."""

from __future__ import annotations

import io
from typing import IO, TYPE_CHECKING

import zstandard

if TYPE_CHECKING:
    from typing_extensions import Buffer

_PIECE_BYTES = 1 << 16


class ZstReader(io.RawIOBase):
    """The decompressed bytes of a stream; a cut-off frame raises EOFError, where usual readers just end."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__()
        self._stream = stream
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._begun = False
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        """Fill the buffer with what comes next; 0 at the end.

        Raises:
            EOFError: when the last frame is cut off.
        """
        while not self._ready:
            piece = self._stream.read(_PIECE_BYTES)
            if not piece:
                if self._begun:
                    raise EOFError("its zst frame is cut off")
                return 0
            self._ready = memoryview(self._decompress(piece))
        target = memoryview(buffer).cast("B")
        count = min(len(target), len(self._ready))
        target[:count], self._ready = self._ready[:count], self._ready[count:]
        return count

    def _decompress(self, piece: bytes) -> bytes:
        output = []
        while piece:
            self._begun = True
            output.append(self._frame.decompress(piece))
            piece = b""
            if self._frame.eof:
                piece = self._frame.unused_data
                self._frame, self._begun = zstandard.ZstdDecompressor().decompressobj(), False
        return b"".join(output)

    def close(self) -> None:
        """Close the stream below too."""
        self._stream.close()
        super().close()
