"""Fields of the `.nvc` container: integers, fractions, strings and byte strings as bytes.

Values out of range are refused when they are written (`ConfigError`) and when they are read
(`BitstreamError`, which names the section and the byte). The types are defined in
`docs/bitstream.md`.
"""

from __future__ import annotations

from fractions import Fraction

from nvcodec.errors import BitstreamError, ConfigError

MAX_VARINT = 2**64 - 1
MAX_TERM = 2**31 - 1
"""Largest numerator or denominator of a fraction."""


def encode_varint(value: int) -> bytes:
    """Encode an unsigned integer below 2**64 as LEB128 in its shortest form, 1 to 10 bytes."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class Payload:
    """Collects the fields of one section and checks every value against its range.

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
        """Return the value as a plain integer if it lies in [low, high]."""
        value = int(value)
        if not low <= value <= high:
            raise ConfigError(
                f"{self._section} section: {name} must be in [{low}, {high}], got {value}"
            )
        return value

    def u8(self, name: str, value: int, low: int = 0, high: int = 255) -> None:
        """Append one byte, value in [low, high]."""
        self._out.append(self.check(name, value, low, high))

    def varint(self, name: str, value: int, low: int = 0, high: int = MAX_VARINT) -> None:
        """Append an unsigned LEB128 integer in [low, high]."""
        self._out += encode_varint(self.check(name, value, low, high))

    def signed(self, name: str, value: int, limit: int = 2**63 - 1) -> None:
        """Append a signed integer, |value| <= limit, mapped by zigzag and coded as LEB128."""
        value = self.check(name, value, -limit, limit)
        self._out += encode_varint(2 * value if value >= 0 else -2 * value - 1)

    def fraction(self, name: str, value: Fraction) -> None:
        """Append a positive fraction: numerator, then denominator, each at most `MAX_TERM`."""
        value = Fraction(value)
        self.varint(f"numerator of {name}", value.numerator, 1, MAX_TERM)
        self.varint(f"denominator of {name}", value.denominator, 1, MAX_TERM)

    def sized(self, name: str, value: bytes, limit: int) -> None:
        """Append at most `limit` bytes, preceded by their number."""
        self.varint(f"length of {name}", len(value), 0, limit)
        self._out += value

    def text(self, name: str, value: str, limit: int) -> None:
        """Append a string, at most `limit` bytes of UTF-8, preceded by their number."""
        try:
            encoded = value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ConfigError(
                f"{self._section} section: {name} is not valid text: {error}"
            ) from None
        self.sized(name, encoded, limit)

    def raw(self, value: bytes) -> None:
        """Append bytes without a length."""
        self._out += value


class Cursor:
    """Reads the fields of one section front to back; the inverse of `Payload`.

    Args:
        data: The bytes to read.
        section: Section type, or another name for the data.
        offset: Byte offset of `data` in the file, used in errors.

    Attributes:
        section: Section type, or another name for the data.

    Raises (all methods):
        BitstreamError: If the bytes end early or a value is outside the range the format allows.
    """

    __slots__ = ("_data", "_origin", "_position", "section")

    def __init__(self, data: bytes, *, section: str, offset: int) -> None:
        self._data = data
        self.section = section
        self._origin = offset
        self._position = 0

    @property
    def offset(self) -> int:
        """Byte offset in the file of the next byte."""
        return self._origin + self._position

    @property
    def end(self) -> int:
        """Byte offset in the file of the first byte after the data."""
        return self._origin + len(self._data)

    @property
    def remaining(self) -> int:
        """Number of bytes that were not read yet."""
        return len(self._data) - self._position

    def error(self, message: str, offset: int | None = None) -> BitstreamError:
        """Return an error that names the section and the byte, for the caller to raise.

        Args:
            message: What is wrong.
            offset: Byte offset in the file; None names the next byte.
        """
        at = self.offset if offset is None else offset
        return BitstreamError(f"{self.section} section, byte {at}: {message}")

    def u8(self, name: str, low: int = 0, high: int = 255) -> int:
        """Read one byte in [low, high]."""
        value = self.take(name, 1)[0]
        return self._in_range(name, value, low, high, self.offset - 1)

    def varint(self, name: str, low: int = 0, high: int = MAX_VARINT) -> int:
        """Read an unsigned LEB128 integer in [low, high], in its shortest form."""
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
        """Read a signed integer, |value| <= limit, coded as LEB128 and mapped by zigzag."""
        start = self.offset
        value = self.varint(name)
        return self._in_range(name, (value >> 1) ^ -(value & 1), -limit, limit, start)

    def fraction(self, name: str) -> Fraction:
        """Read a positive fraction: numerator, then denominator, each at most `MAX_TERM`."""
        numerator = self.varint(f"numerator of {name}", 1, MAX_TERM)
        return Fraction(numerator, self.varint(f"denominator of {name}", 1, MAX_TERM))

    def take(self, name: str, count: int) -> bytes:
        """Read the next `count` bytes; `count` is checked before anything is copied."""
        if count > self.remaining:
            raise self.error(f"{name} needs {count} bytes, {self.remaining} remain in the section")
        start = self._position
        self._position += count
        return self._data[start : self._position]

    def peek(self, count: int) -> bytes:
        """Return the next `count` bytes, fewer at the end, without moving on."""
        return self._data[self._position : self._position + count]

    def sized(self, name: str, limit: int) -> bytes:
        """Read at most `limit` bytes, preceded by their number."""
        return self.take(name, self.varint(f"length of {name}", 0, limit))

    def text(self, name: str, limit: int) -> str:
        """Read a string, at most `limit` bytes of UTF-8, preceded by their number."""
        start = self.offset
        try:
            return self.sized(name, limit).decode("utf-8")
        except UnicodeDecodeError:
            raise self.error(f"{name} is not UTF-8", start) from None

    def rest(self) -> bytes:
        """Read all remaining bytes."""
        return self.take("rest", self.remaining)

    def finish(self) -> None:
        """Check that no bytes remain."""
        if self.remaining:
            raise self.error(f"{self.remaining} bytes follow the last field")

    def _in_range(self, name: str, value: int, low: int, high: int, start: int) -> int:
        if not low <= value <= high:
            raise self.error(f"{name} must be in [{low}, {high}], got {value}", start)
        return value
