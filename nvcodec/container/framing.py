"""Numbers, strings and section framing as bytes: the lowest layer of the `.nvc` container.

Owns how one value or one section looks in a file and refuses values out of range, on the way out
(`ConfigError`) as on the way in (`BitstreamError`, naming the section and the byte). Knows nothing
of what the sections mean: that is `nvcodec.container.header`. The format is `docs/bitstream.md`.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from nvcodec.errors import BitstreamError, ConfigError, TruncatedStreamError

MAGIC = b"\x8aNVC\r\n\x1a\n"
MAJOR, MINOR = 1, 1
PREAMBLE = MAGIC + bytes((MAJOR, 0))
"""Of a file that needs nothing of a later minor version; all are as long."""

MAX_SECTION = 2**31 - 1
"""Largest payload of a section, bytes."""
MAX_VARINT = 2**64 - 1
MAX_TICKS = 2**61 - 1
"""Largest magnitude of a timestamp or duration: sums and differences of two fit 64 bits."""

TYPE_SIZE = 4
CRC_SIZE = 4
MAX_FRAMING = TYPE_SIZE + 5
"""Most bytes before a payload: the type, and a length below 2**31 as a LEB128 integer."""


@dataclass(frozen=True, slots=True)
class Framing:
    """Where one section lies.

    Attributes:
        kind: Four letters.
        offset: Byte offset of the type in the file.
        payload_offset: Byte offset of the payload.
        payload_size: Bytes of payload.
    """

    kind: str
    offset: int
    payload_offset: int
    payload_size: int

    @property
    def end(self) -> int:
        """Byte offset of what follows the section's CRC."""
        return self.payload_offset + self.payload_size + CRC_SIZE

    @property
    def size(self) -> int:
        """Bytes of the whole section, type and CRC included."""
        return self.end - self.offset


def is_critical(kind: str) -> bool:
    """Whether a reader that does not know this section type must refuse the file."""
    return not ord(kind[0]) & 0x20


def varint(value: int) -> bytes:
    """An unsigned integer below 2**64 as LEB128 in its shortest form, 1 to 10 bytes."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def section(kind: str, payload: bytes, *, before: bytes = b"") -> bytes:
    """One whole section: type, length, payload, CRC-32.

    Args:
        kind: Four ASCII letters.
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
    head = kind.encode("ascii") + varint(len(payload))
    crc = zlib.crc32(payload, zlib.crc32(head, zlib.crc32(before)))
    return b"".join((head, payload, struct.pack("<I", crc)))


def framing(data: bytes, offset: int) -> Framing:
    """Type and length of the section that starts with `data`.

    Args:
        data: The first bytes of the section; `MAX_FRAMING` of them, fewer at the end of the file.
        offset: Where `data` lies in the file.

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


class Payload:
    """Collects the fields of one section; every value is checked against its range.

    Args:
        section: Name used in errors.

    Raises (all methods):
        ConfigError: If a value is outside the range the format allows.
    """

    __slots__ = ("_out", "_section")

    def __init__(self, section: str) -> None:
        self._out = bytearray()
        self._section = section

    def __bytes__(self) -> bytes:
        return bytes(self._out)

    def __len__(self) -> int:
        return len(self._out)

    def check(self, name: str, value: int, low: int, high: int) -> int:
        """The value as a plain integer if it lies in [low, high]."""
        value = int(value)
        if not low <= value <= high:
            raise ConfigError(
                f"{self._section} section: {name} must be in [{low}, {high}], got {value}"
            )
        return value

    def u8(self, name: str, value: int, low: int = 0, high: int = 255) -> None:
        """One byte."""
        self._out.append(self.check(name, value, low, high))

    def varint(self, name: str, value: int, low: int = 0, high: int = MAX_VARINT) -> None:
        """An unsigned LEB128 integer."""
        self._out += varint(self.check(name, value, low, high))

    def signed(self, name: str, value: int, limit: int = 2**63 - 1) -> None:
        """A signed integer, |value| <= limit, zigzag then LEB128."""
        value = self.check(name, value, -limit, limit)
        self._out += varint(2 * value if value >= 0 else -2 * value - 1)

    def sized(self, name: str, value: bytes, limit: int) -> None:
        """Bytes, at most `limit`, preceded by their number."""
        self.varint(f"length of {name}", len(value), 0, limit)
        self._out += value

    def text(self, name: str, value: str, limit: int) -> None:
        """A string, at most `limit` bytes of UTF-8, preceded by their number."""
        try:
            encoded = value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ConfigError(
                f"{self._section} section: {name} is not valid text: {error}"
            ) from None
        self.sized(name, encoded, limit)

    def raw(self, value: bytes) -> None:
        """Bytes as they are."""
        self._out += value


class Cursor:
    """Reads the fields of one section, front to back; the mirror of `Payload`.

    Args:
        data: The bytes to read.
        section: Section type, or another name for the data.
        offset: Where `data` lies in the file, used in errors.

    Attributes:
        section: As given.

    Raises (all methods):
        BitstreamError: If the bytes end early or a value is outside the range the format allows.
    """

    __slots__ = ("_base", "_data", "_position", "section")

    def __init__(self, data: bytes, *, section: str, offset: int) -> None:
        self._data = data
        self.section = section
        self._base = offset
        self._position = 0

    @property
    def offset(self) -> int:
        """Byte offset in the file of the next byte."""
        return self._base + self._position

    @property
    def end(self) -> int:
        """Byte offset in the file of what follows the data."""
        return self._base + len(self._data)

    @property
    def remaining(self) -> int:
        """Bytes not read yet."""
        return len(self._data) - self._position

    def error(self, message: str, offset: int | None = None) -> BitstreamError:
        """An error that names the section and the byte; the caller raises it."""
        at = self.offset if offset is None else offset
        return BitstreamError(f"{self.section} section, byte {at}: {message}")

    def u8(self, name: str, low: int = 0, high: int = 255) -> int:
        """One byte in [low, high]."""
        value = self.take(name, 1)[0]
        return self._in_range(name, value, low, high, self.offset - 1)

    def varint(self, name: str, low: int = 0, high: int = MAX_VARINT) -> int:
        """An unsigned LEB128 integer in [low, high], in its shortest form."""
        start = self.offset
        value = shift = 0
        for position in range(self._position, min(self._position + 10, len(self._data))):
            byte = self._data[position]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if byte == 0 and shift:
                    raise self.error(f"{name} is not in its shortest form", start)
                self._position = position + 1
                return self._in_range(name, value, low, high, start)
            shift += 7
        if shift == 70:
            raise self.error(f"{name} is longer than 10 bytes", start)
        raise self.error(f"the section ends inside {name}", start)

    def signed(self, name: str, limit: int = 2**63 - 1) -> int:
        """A signed integer, zigzag then LEB128, |value| <= limit."""
        start = self.offset
        value = self.varint(name)
        return self._in_range(name, (value >> 1) ^ -(value & 1), -limit, limit, start)

    def take(self, name: str, count: int) -> bytes:
        """The next `count` bytes; checked against what remains before they are copied."""
        if count > self.remaining:
            raise self.error(f"{name} needs {count} bytes, {self.remaining} remain in the section")
        start = self._position
        self._position += count
        return self._data[start : self._position]

    def sized(self, name: str, limit: int) -> bytes:
        """Bytes preceded by their number, at most `limit`."""
        return self.take(name, self.varint(f"length of {name}", 0, limit))

    def text(self, name: str, limit: int) -> str:
        """UTF-8 preceded by its number of bytes, at most `limit`."""
        start = self.offset
        try:
            return self.sized(name, limit).decode("utf-8")
        except UnicodeDecodeError:
            raise self.error(f"{name} is not UTF-8", start) from None

    def rest(self) -> bytes:
        """All remaining bytes."""
        return self.take("rest", self.remaining)

    def finish(self) -> None:
        """Check that nothing is left over."""
        if self.remaining:
            raise self.error(f"{self.remaining} bytes follow the last field")

    def _in_range(self, name: str, value: int, low: int, high: int, start: int) -> int:
        if not low <= value <= high:
            raise self.error(f"{name} must be in [{low}, {high}], got {value}", start)
        return value
