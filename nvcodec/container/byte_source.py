"""Random access to the bytes of an `.nvc` file, and the CRC check of its sections."""

from __future__ import annotations

import os
import shutil
import struct
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from io import BytesIO
from typing import BinaryIO

from nvcodec.container.fields import Cursor
from nvcodec.container.framing import CRC_SIZE, MAX_FRAMING, Framing, read_framing
from nvcodec.container.section_types import CONDITIONING_TOKENS, TOKENS
from nvcodec.errors import ChecksumError, TruncatedStreamError
from nvcodec.urls import refuse_url

_CHUNK = 2**20


def open_seekable(source: str | os.PathLike[str] | bytes | BinaryIO, stack: ExitStack) -> BinaryIO:
    """Open a source as a file that can seek; a pipe is copied to a temporary file first.

    Args:
        source: Path, bytes, or binary file.
        stack: Closes the files that are opened here; a file that was given is not closed.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return stack.enter_context(BytesIO(source))
    if isinstance(source, (str, os.PathLike)):
        refuse_url(source)
        source = stack.enter_context(open(source, "rb"))  # noqa: SIM115
    if source.seekable():
        return source
    with ExitStack() as spooling:
        spool = spooling.enter_context(tempfile.TemporaryFile())
        shutil.copyfileobj(source, spool)
        stack.push(spooling.pop_all())
    return spool


class ByteSource:
    """Random access to a seekable file, which is never read into memory as a whole.

    Args:
        file: Binary file opened for reading; its first byte is the first of the stream.

    Attributes:
        size: Size of the file, bytes.
        bytes_read: Bytes read so far; bytes that are read twice count twice.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = file.seek(0, os.SEEK_END)
        self.bytes_read = 0

    def read(self, offset: int, count: int) -> bytes:
        """Read exactly `count` bytes at `offset`.

        Raises:
            TruncatedStreamError: If the file is shorter; checked before anything is allocated.
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
        """Read the same bytes as `read`, at most 1 MiB at a time."""
        for start in range(offset, offset + count, _CHUNK):
            yield self.read(start, min(_CHUNK, offset + count - start))

    def framing(self, offset: int) -> Framing:
        """Read type and length of the section at `offset`, and check that it ends in the file.

        Raises:
            BitstreamError: If no section can start here.
            TruncatedStreamError: If the section is longer than the file.
        """
        data = self.read(offset, max(0, min(MAX_FRAMING, self.size - offset)))
        framing = read_framing(data, offset)
        if framing.end > self.size:
            raise TruncatedStreamError(
                f"{framing.kind} section, byte {offset}: ends at byte {framing.end}, "
                f"the file at byte {self.size}"
            )
        return framing

    def check_crc(self, framing: Framing, *, before: int = 0) -> None:
        """Compare a section with its CRC without holding it in memory.

        Args:
            framing: The section.
            before: Number of bytes before it that the CRC also covers.

        Raises:
            ChecksumError: If they differ.
        """
        start, end = framing.offset - before, framing.end - CRC_SIZE
        crc = 0
        for chunk in self.chunks(start, end - start):
            crc = zlib.crc32(chunk, crc)
        (stored,) = struct.unpack("<I", self.read(end, CRC_SIZE))
        if crc != stored:
            raise _mismatch(framing, crc, stored)

    def payload(self, framing: Framing) -> Cursor:
        """Read the payload of a section without checking its CRC."""
        data = self.read(framing.payload_offset, framing.payload_size)
        return Cursor(data, section=framing.kind, offset=framing.payload_offset)

    def checked_payload(self, framing: Framing) -> Cursor:
        """Read a section once, compare it with its CRC and return its payload.

        Raises:
            ChecksumError: If they differ.
        """
        data = self.read(framing.offset, framing.size)
        crc, stored = zlib.crc32(data[:-CRC_SIZE]), int.from_bytes(data[-CRC_SIZE:], "little")
        if crc != stored:
            raise _mismatch(framing, crc, stored)
        payload = data[framing.payload_offset - framing.offset : -CRC_SIZE]
        return Cursor(payload, section=framing.kind, offset=framing.payload_offset)

    def payload_prefix(self, framing: Framing, count: int) -> Cursor:
        """Read at most the first `count` bytes of a payload."""
        data = self.read(framing.payload_offset, min(count, framing.payload_size))
        return Cursor(data, section=framing.kind, offset=framing.payload_offset)


def _mismatch(framing: Framing, crc: int, stored: int) -> ChecksumError:
    is_tokens = framing.kind in (TOKENS, CONDITIONING_TOKENS)
    lost = "tokens" if is_tokens else "frames or packets"
    return ChecksumError(
        f"{framing.kind} section, byte {framing.offset}: CRC-32 is {crc:08x}, "
        f"the file says {stored:08x}; {lost} in it are lost"
    )
