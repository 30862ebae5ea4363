"""Side information: short arrays of integers, coded as differences, and the plain numbers of headers.

An array is its first value, then differences to the previous value under one Laplace table. The
table's parameters stand in the plain header, the differences of all arrays share one rANS message.
"""

from __future__ import annotations

import numpy as np

from nvcodec.entropy.coder import rans
from nvcodec.entropy.coder.probability_tables import (
    LARGEST_SYMBOL,
    SCALES,
    Family,
    cumulative,
    scale_value,
)
from nvcodec.entropy.coder.rans import TableSet
from nvcodec.errors import BitstreamError, TruncatedStreamError
from nvcodec.media import Int32Array

_LARGEST_FIRST = 1 << 20


def zigzag(number: int) -> int:
    """Signed to unsigned: 0, -1, 1, -2, ... become 0, 1, 2, 3, ..."""
    return 2 * number if number >= 0 else -2 * number - 1


def pack_varint(number: int) -> bytes:
    """An unsigned number as LEB128, 7 bits a byte, least significant first."""
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


class ByteCursor:
    """Reads plain numbers from a segment's payload, within bounds."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def byte(self) -> int:
        """The next byte."""
        if self.position >= len(self._data):
            raise TruncatedStreamError(f"segment payload: ends at byte {self.position}")
        self.position += 1
        return self._data[self.position - 1]

    def varint(self) -> int:
        """A LEB128 number of at most 32 bits."""
        number = 0
        for shift in range(0, 35, 7):
            byte = self.byte()
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                if (not byte and shift) or number >> 32:
                    break
                return number
        raise BitstreamError(
            f"segment payload, byte {self.position}: a number above 32 bits, or not in its "
            "shortest form"
        )

    def zigzag(self) -> int:
        """A signed number."""
        number = self.varint()
        return -(number + 1 >> 1) if number & 1 else number >> 1


class NumberArray:
    """Arrays of integers that share one rANS message."""

    def __init__(self) -> None:
        self._tables = TableSet()
        # Per array: its first value, how many differences follow, and their table or constant.
        self._arrays: list[tuple[int, int, int | None, int]] = []
        self._differences: list[Int32Array] = []

    def add(self, first: int, count: int, scale: int, low: int, high: int) -> int:
        """Announce an array of `count` values; returns its position among the arrays."""
        table = None
        if low < high and count > 1:
            table = self._tables.number(low, cumulative(Family.LAPLACE, scale, low, high))
        self._arrays.append((first, count - 1, table, low))
        return len(self._arrays) - 1

    def append(self, values: Int32Array) -> bytes:
        """Take an array to be coded; returns its header."""
        first = int(values[0])
        header = pack_varint(zigzag(first))
        differences = np.diff(values).astype(np.int32)
        if not differences.size:
            self.add(first, 1, 0, 0, 0)
            return header
        low, high = int(differences.min()), int(differences.max())
        if max(-low, high) > LARGEST_SYMBOL:
            raise ValueError(f"differences of side information exceed +-{LARGEST_SYMBOL}")
        spread = max(float(np.abs(differences).mean()), scale_value(0))
        scale = int(np.clip(np.rint(4 * np.log2(spread)) + 16, 0, SCALES - 1))
        self.add(first, len(values), scale, low, high)
        self._differences.append(differences)
        return header + pack_varint(zigzag(low)) + pack_varint(high - low) + bytes((scale,))

    def encode(self) -> bytes:
        """The rANS message of all differences."""
        coded = [table is not None for _, count, table, _ in self._arrays if count]
        parts = [part for part, kept in zip(self._differences, coded, strict=True) if kept]
        symbols = np.concatenate(parts) if parts else np.empty(0, np.int32)
        return rans.encode(symbols, self._numbers(), self._tables)

    def decode(self, data: bytes) -> list[Int32Array]:
        """The announced arrays, from the message."""
        symbols = rans.decode(data, self._numbers(), self._tables)
        arrays, position = [], 0
        for first, count, table, constant in self._arrays:
            if table is None:
                differences = np.full(count, constant, np.int64)
            else:
                differences = symbols[position : position + count].astype(np.int64)
                position += count
            values = np.cumsum(np.concatenate([[first], differences]))
            if np.abs(values).max() > 2 * _LARGEST_FIRST:
                raise BitstreamError("segment payload: side information out of range")
            arrays.append(values.astype(np.int32))
        return arrays

    def _numbers(self) -> Int32Array:
        tables = [(table, count) for _, count, table, _ in self._arrays if table is not None]
        values = np.array([table for table, _ in tables], np.int32)
        return np.repeat(values, np.array([count for _, count in tables], np.int64))


def read_array(cursor: ByteCursor, count: int, arrays: NumberArray) -> int:
    """Read the header of an array and announce it; returns its position among the arrays.

    Raises:
        BitstreamError: If a field is out of range.
    """
    start = cursor.position
    first = cursor.zigzag()
    low = span = scale = 0
    if count > 1:
        low, span, scale = cursor.zigzag(), cursor.varint(), cursor.byte()
    limit = LARGEST_SYMBOL
    if abs(first) > _LARGEST_FIRST or abs(low) > limit or low + span > limit or scale >= SCALES:
        raise BitstreamError(
            f"segment payload, byte {start}: side information with {first = }, {low = }, "
            f"{span = }, {scale = } out of range"
        )
    return arrays.add(first, count, scale, low, low + span)
