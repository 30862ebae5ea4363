"""Framing of the `.nvc` container: signature, version, and the type, length and CRC of a section.

This layer knows nothing of the contents of sections. Fields are `nvcodec.container.fields`; the
format is `docs/bitstream.md`.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from nvcodec.container.fields import Cursor, encode_varint
from nvcodec.errors import BitstreamError, ConfigError, TruncatedStreamError

MAGIC = b"\x8aNVC\r\n\x1a\n"
MAJOR, MINOR = 1, 2
PREAMBLE = MAGIC + bytes((MAJOR, 0))
"""Preamble of a file that needs no later minor version; every preamble has this length."""

MAX_SECTION = 2**31 - 1
"""Largest payload of a section, bytes."""
MAX_TICKS = 2**61 - 1
"""Largest magnitude of a timestamp or duration: sums and differences of two fit 64 bits."""

TYPE_SIZE = 4
CRC_SIZE = 4
MAX_FRAMING = TYPE_SIZE + 5
"""Most bytes before a payload: the type, and a length below 2**31 as a LEB128 integer."""


@dataclass(frozen=True, slots=True)
class Framing:
    """Type and position of one section.

    Attributes:
        kind: Section type, four letters.
        offset: Byte offset of the type in the file.
        payload_offset: Byte offset of the payload.
        payload_size: Size of the payload, bytes.
    """

    kind: str
    offset: int
    payload_offset: int
    payload_size: int

    @property
    def end(self) -> int:
        """Byte offset of the first byte after the section's CRC."""
        return self.payload_offset + self.payload_size + CRC_SIZE

    @property
    def size(self) -> int:
        """Size of the whole section, bytes, type and CRC included."""
        return self.end - self.offset


def write_section(kind: str, payload: bytes, *, before: bytes = b"") -> bytes:
    """Return one whole section: type, length, payload, CRC-32.

    Args:
        kind: Section type, four ASCII letters.
        payload: At most `MAX_SECTION` bytes.
        before: Bytes that precede the section in the file and that its CRC also covers.

    Raises:
        ConfigError: If the payload is too long.
    """
    if len(payload) > MAX_SECTION:
        raise ConfigError(
            f"a {kind} section holds at most {MAX_SECTION} bytes, got {len(payload)}; "
            "use shorter segments"
        )
    head = kind.encode("ascii") + encode_varint(len(payload))
    crc = zlib.crc32(payload, zlib.crc32(head, zlib.crc32(before)))
    return b"".join((head, payload, struct.pack("<I", crc)))


def read_framing(data: bytes, offset: int) -> Framing:
    """Read type and length of the section that starts with `data`.

    Args:
        data: The first bytes of the section; `MAX_FRAMING` of them, fewer at the end of the file.
        offset: Byte offset of `data` in the file.

    Raises:
        BitstreamError: If this cannot be the start of a section.
        TruncatedStreamError: If `data` ends inside type or length.
    """
    kind = data[:TYPE_SIZE]
    if kind and not kind.isalpha():
        raise BitstreamError(
            f"byte {offset}: expected a section type of four letters, got {kind!r}"
        )
    if len(data) < MAX_FRAMING and all(byte & 0x80 for byte in data[TYPE_SIZE:]):
        raise TruncatedStreamError(
            f"byte {offset}: the stream ends inside a section's type or length"
        )
    name = kind.decode("ascii")
    cursor = Cursor(data[TYPE_SIZE:MAX_FRAMING], section=name, offset=offset + TYPE_SIZE)
    size = cursor.varint("length", 0, MAX_SECTION)
    return Framing(name, offset, cursor.offset, size)
