"""Where the sections of a finished `.nvc` file lie, and how damage is described.

Owns random access to the bytes of a file, its signature and version, and the way from its last
bytes to its index. Files without a usable index are `nvcodec.container.recovery`. The rules are
`docs/bitstream.md`.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import BinaryIO

from nvcodec.container.framing import (
    CRC_SIZE,
    MAGIC,
    MAJOR,
    MAX_FRAMING,
    MINOR,
    PREAMBLE,
    Cursor,
    Framing,
    framing,
    is_critical,
)
from nvcodec.container.header import END, FED_TOKENS, HEADER, INDEX, KNOWN, MAX_HEADER, TOKENS
from nvcodec.container.index import (
    END_SIZE,
    OTHER,
    Entry,
    Index,
    read_end,
    read_index,
)
from nvcodec.errors import (
    BitstreamError,
    ChecksumError,
    TruncatedStreamError,
    UnsupportedVersionError,
)

_CHUNK = 2**20


class DamageKind(str, Enum):
    """What is wrong with a stretch of a file."""

    TRUNCATED = "truncated"  # the file ends inside or before a section
    CHECKSUM = "checksum"  # whole section, wrong CRC
    UNREADABLE = "unreadable"  # no section can be made out; reading went on at the next intact one
    MALFORMED = "malformed"  # right CRC, contents that make no sense
    MISPLACED = "misplaced"  # a section where, or twice when, there must be none
    MISSING = "missing"  # frames that no section holds
    TRAILING = "trailing"  # bytes after the end


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """One thing that is missing or damaged.

    Attributes:
        kind: What happened.
        section: Section type as far as it can be told, else empty.
        offset: Byte offset where it starts.
        size: Bytes affected, 0 where bytes are absent rather than wrong.
        frames: Frames lost with it, from the first up to but excluding the second, which is None
            where it cannot be known; None where no frame is known to be lost.
        reason: One sentence for people.
    """

    kind: DamageKind
    section: str
    offset: int
    size: int
    reason: str
    frames: tuple[int, int | None] | None = None

    def __str__(self) -> str:
        lost = ""
        if self.frames:
            first, stop = self.frames
            lost = f"; frames {first}.. missing" if stop is None else ""
            lost = lost or f"; frames {first}..{(stop or 0) - 1} missing"
        return f"byte {self.offset}: {self.kind.value} {self.section}: {self.reason}{lost}"

    def error(self) -> BitstreamError:
        """The error for a caller who asks for what is damaged."""
        if self.kind is DamageKind.CHECKSUM:
            return ChecksumError(str(self))
        if self.kind in (DamageKind.TRUNCATED, DamageKind.MISSING):
            return TruncatedStreamError(str(self))
        return BitstreamError(str(self))


class Source:
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
    lost = "tokens" if found.kind in (TOKENS, FED_TOKENS) else "frames or packets"
    return ChecksumError(
        f"{found.kind} section, byte {found.offset}: CRC-32 is {crc:08x}, "
        f"the file says {stored:08x}; {lost} in it are lost"
    )


def check_preamble(data: bytes) -> tuple[int, int]:
    """Version of a stream that starts with these bytes.

    Args:
        data: The first ten bytes, fewer where the stream is shorter.

    Raises:
        BitstreamError: If this is no `.nvc` file, or was mangled as text.
        TruncatedStreamError: If the stream ends inside.
        UnsupportedVersionError: If the major version is not ours.
    """
    magic = data[: len(MAGIC)]
    if not MAGIC.startswith(magic):
        if magic[1:4] == MAGIC[1:4]:
            raise BitstreamError(
                f"byte 0: damaged signature {magic!r}, expected {MAGIC!r}; "
                "was the file transferred as text?"
            )
        raise BitstreamError(f"byte 0: not an .nvc file: starts with {magic!r}, not {MAGIC!r}")
    if len(data) < len(PREAMBLE):
        raise TruncatedStreamError(
            f"byte {len(data)}: the file ends inside its {len(PREAMBLE)}-byte preamble"
        )
    major, minor = data[len(MAGIC) : len(PREAMBLE)]
    if major != MAJOR:
        raise UnsupportedVersionError(
            f"byte {len(MAGIC)}: bitstream version {major}.{minor} found, this release reads "
            f"version {MAJOR}.x (it writes {MAJOR}.{MINOR}); use a release that knows {major}.x"
        )
    return major, minor


def check_header_framing(found: Framing) -> None:
    """Refuse a first section that is no header, or one absurdly long.

    Raises:
        BitstreamError: If so.
    """
    if found.kind != HEADER or found.payload_size > MAX_HEADER:
        raise BitstreamError(
            f"byte {found.offset}: expected a {HEADER} section of at most {MAX_HEADER} bytes, "
            f"got {found.kind} of {found.payload_size}"
        )


def refuse_unknown(kind: str, offset: int) -> None:
    """Refuse a section that is not known and must not be skipped.

    Raises:
        UnsupportedVersionError: If the type is unknown and critical.
    """
    if kind not in KNOWN and is_critical(kind):
        raise UnsupportedVersionError(
            f"{kind} section, byte {offset}: unknown critical section; "
            f"this release reads version {MAJOR}.{MINOR}, a newer one may read this file"
        )


def indexed(source: Source, header: Framing) -> Index | None:
    """The index of a finished file, found from its end; None unless it is intact and fits.

    Raises:
        UnsupportedVersionError: If the file holds an unknown critical section.
    """
    try:
        end = source.framing(source.size - END_SIZE)
        if end.kind != END or end.end != source.size:
            return None
        source.check(end)
        size = read_end(source.payload(end))
        found = source.framing(end.offset - size)
        if found.kind != INDEX or found.end != end.offset or found.offset < header.end:
            return None
        source.check(found)
        index = read_index(source.payload(found))
    except BitstreamError:
        return None
    entries = index.entries
    if not entries or entries[0].kind != HEADER or entries[0].size != header.size:
        return None
    if entries[-1].offset + entries[-1].size != found.offset:
        return None  # bytes were inserted or lost in between
    for entry in entries:
        if entry.kind == OTHER:
            _refuse_intact_unknown(source, entry)
    return index


def _refuse_intact_unknown(source: Source, entry: Entry) -> None:
    try:
        found = source.framing(entry.offset)
        if is_critical(found.kind):
            source.check(found)
    except BitstreamError:
        return  # damaged, hence not a reason to refuse the rest
    refuse_unknown(found.kind, entry.offset)
