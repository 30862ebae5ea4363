"""Random access to the bytes of an `.nvc` file, with the CRC of every section checked."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from nvcodec.container.framing import (
    CRC_SIZE,
    MAX_FRAMING,
    Cursor,
    Framing,
    framing,
)
from nvcodec.container.header import CONDITIONING_TOKENS, TOKENS
from nvcodec.errors import (
    ChecksumError,
    TruncatedStreamError,
)

_CHUNK = 2**20


class ByteSource:
    """A seekable file as bytes at offsets, never read whole.

    Args:
        file: Binary file opened for reading; its first byte is the first of the stream.

    Attributes:
        size: Bytes of the file.
        bytes_read: Bytes asked for so far; what is read twice counts twice.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = file.seek(0, os.SEEK_END)
        self.bytes_read = 0

    def read(self, offset: int, count: int) -> bytes:
        """Exactly `count` bytes.

        Raises:
            TruncatedStreamError: If the file is shorter; found before anything is allocated.
        """
        data = b""
        if 0 <= offset <= self.size - count:
            self._file.seek(offset)
            data = self._file.read(count)
            self.bytes_read += len(data)
        if len(data) != count:
            raise TruncatedStreamError(
                f"byte {offset}: {count} bytes expected, the file ends at byte {self.size}"
            )
        return data

    def chunks(self, offset: int, count: int) -> Iterator[bytes]:
        """The same bytes as `read`, at most 1 MiB at a time."""
        for start in range(offset, offset + count, _CHUNK):
            yield self.read(start, min(_CHUNK, offset + count - start))

    def framing(self, offset: int) -> Framing:
        """Type and length of the section at `offset`, which lies whole within the file.

        Raises:
            BitstreamError: If no section can start here.
            TruncatedStreamError: If the section is longer than the file.
        """
        found = framing(self.read(offset, max(0, min(MAX_FRAMING, self.size - offset))), offset)
        if found.end > self.size:
            raise TruncatedStreamError(
                f"{found.kind} section, byte {offset}: ends at byte {found.end}, "
                f"the file at byte {self.size}"
            )
        return found

    def check(self, found: Framing, *, before: int = 0) -> None:
        """Compare a section with its CRC without holding it in memory.

        Args:
            found: The section.
            before: Number of bytes before it that the CRC also covers.

        Raises:
            ChecksumError: If they differ.
        """
        start, end = found.offset - before, found.end - CRC_SIZE
        crc = 0
        for chunk in self.chunks(start, end - start):
            crc = zlib.crc32(chunk, crc)
        (stored,) = struct.unpack("<I", self.read(end, CRC_SIZE))
        if crc != stored:
            raise _mismatch(found, crc, stored)

    def payload(self, found: Framing) -> Cursor:
        """The payload of a section, ready to be read; its CRC is not looked at."""
        data = self.read(found.payload_offset, found.payload_size)
        return Cursor(data, section=found.kind, offset=found.payload_offset)

    def checked(self, found: Framing) -> Cursor:
        """The payload of a section, read once and compared with its CRC.

        Raises:
            ChecksumError: If they differ.
        """
        data = self.read(found.offset, found.size)
        crc, stored = zlib.crc32(data[:-CRC_SIZE]), int.from_bytes(data[-CRC_SIZE:], "little")
        if crc != stored:
            raise _mismatch(found, crc, stored)
        payload = data[found.payload_offset - found.offset : -CRC_SIZE]
        return Cursor(payload, section=found.kind, offset=found.payload_offset)

    def prefix(self, found: Framing, count: int) -> Cursor:
        """At most the first `count` bytes of a payload."""
        data = self.read(found.payload_offset, min(count, found.payload_size))
        return Cursor(data, section=found.kind, offset=found.payload_offset)


def _mismatch(found: Framing, crc: int, stored: int) -> ChecksumError:
    lost = "tokens" if found.kind in (TOKENS, CONDITIONING_TOKENS) else "frames or packets"
    return ChecksumError(
        f"{found.kind} section, byte {found.offset}: CRC-32 is {crc:08x}, "
        f"the file says {stored:08x}; {lost} in it are lost"
    )
