"""Side information: short arrays of integers coded as differences, and plain integers of headers.

An array is stored as its first value, then differences to the previous value under one Laplace
table. The parameters of the table stand in the plain header; the differences of all arrays share
one rANS message.
"""

from __future__ import annotations

import numpy as np

from nvcodec.entropy.coder import rans
from nvcodec.entropy.coder.frequency_tables import TableSet
from nvcodec.entropy.coder.probability_tables import (
    LARGEST_SYMBOL,
    SCALES,
    DistributionFamily,
    cumulative,
    scale_value,
)
from nvcodec.errors import BitstreamError, TruncatedStreamError
from nvcodec.media import Int32Array

_LARGEST_FIRST = 1 << 20


def zigzag(number: int) -> int:
    """Map a signed integer to an unsigned one: 0, -1, 1, -2, ... become 0, 1, 2, 3, ..."""
    return 2 * number if number >= 0 else -2 * number - 1


def pack_varint(number: int) -> bytes:
    """Encode an unsigned integer as LEB128: 7 bits per byte, least significant first."""
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


class ByteCursor:
    """Reads plain integers from the payload of a segment, within bounds.

    Args:
        data: The bytes to read.

    Attributes:
        position: Index of the next byte.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def byte(self) -> int:
        """Read a byte.

        Raises:
            TruncatedStreamError: If the data has ended.
        """
        if self.position >= len(self._data):
            raise TruncatedStreamError(f"segment payload: ends at byte {self.position}")
        self.position += 1
        return self._data[self.position - 1]

    def varint(self) -> int:
        """Read a LEB128 integer of at most 32 bits.

        Raises:
            BitstreamError: If it is larger, or not in its shortest form.
            TruncatedStreamError: If the data has ended.
        """
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
        """Read a signed integer.

        Raises:
            BitstreamError: If it exceeds 32 bits, or is not in its shortest form.
            TruncatedStreamError: If the data has ended.
        """
        number = self.varint()
        return -(number + 1 >> 1) if number & 1 else number >> 1


class IntegerArrayCoder:
    """Codes arrays of integers that share one rANS message."""

    def __init__(self) -> None:
        self._tables = TableSet()
        # Per array: first value, number of differences, their table (None if all are equal), and
        # the smallest of them.
        self._arrays: list[tuple[int, int, int | None, int]] = []
        self._differences: list[Int32Array] = []

    def add(self, first: int, count: int, scale: int, low: int, high: int) -> int:
        """Announce an array.

        Args:
            first: First value of the array.
            count: Number of values, at least 1.
            scale: Scale index of the table of differences, 0 to 63.
            low: Smallest difference.
            high: Largest difference.

        Returns:
            Position of the array among all arrays.
        """
        table = None
        if low < high and count > 1:
            table = self._tables.number(
                low, cumulative(DistributionFamily.LAPLACE, scale, low, high)
            )
        self._arrays.append((first, count - 1, table, low))
        return len(self._arrays) - 1

    def append(self, values: Int32Array) -> bytes:
        """Add an array to the message.

        Args:
            values: The array, shape (N,), N at least 1.

        Returns:
            The header of the array.

        Raises:
            ValueError: If a difference is too large for a table.
        """
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
        """Return the rANS message of all differences."""
        coded = [table is not None for _, count, table, _ in self._arrays if count]
        parts = [part for part, is_coded in zip(self._differences, coded, strict=True) if is_coded]
        symbols = np.concatenate(parts) if parts else np.empty(0, np.int32)
        return rans.encode(symbols, self._table_numbers(), self._tables)

    def decode(self, data: bytes) -> list[Int32Array]:
        """Decode the announced arrays.

        Args:
            data: The message.

        Raises:
            BitstreamError: If a value is out of range.
        """
        symbols = rans.decode(data, self._table_numbers(), self._tables)
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

    def _table_numbers(self) -> Int32Array:
        """Return the table number of every coded difference."""
        tables = [(table, count) for _, count, table, _ in self._arrays if table is not None]
        numbers = np.array([table for table, _ in tables], np.int32)
        return np.repeat(numbers, np.array([count for _, count in tables], np.int64))


def read_array(cursor: ByteCursor, count: int, arrays: IntegerArrayCoder) -> int:
    """Read the header of an array and announce the array.

    Args:
        cursor: Where the header begins; moved past it.
        count: Number of values of the array.
        arrays: Coder to announce the array to.

    Returns:
        Position of the array among all arrays.

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
