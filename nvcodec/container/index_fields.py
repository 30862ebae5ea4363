"""Fields of the entries of an index, thousands of entries at a time.

An entry is a code, a size, and by its code a track, or the number of frames and a time. Where an
entry ends is thus known only once it is read. Here the end of an entry is computed for every byte at
which one might begin, and then the bytes at which one does begin are found by jumps of 1, 2, 4, ...
entries.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat

import numpy as np
import numpy.typing as npt

from nvcodec.container.fields import Cursor
from nvcodec.media import BoolArray, Int64Array, UInt8Array

CODE_OF_PACKETS, FIRST_CODE_OF_SEGMENTS = 4, 5
"""Codes of entries with a track, and of those with frames and a time (this and later ones)."""

_UInt64Array = npt.NDArray[np.uint64]
_LONGEST = 10
"""Most bytes of an integer."""
_CHUNK = 1 << 15
"""Bytes of the index in which entries begin that are read at a time; they stay in caches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFields:
    """Fields of N consecutive entries, each of shape (N,).

    Attributes:
        byte: Byte offset of each entry in the file.
        code: Code of the section's type, 0 to 255.
        size: Size of the section.
        track: Number of the track; 0 where the entry has none.
        frames_less_1: Number of frames less 1; 0 where the entry has none.
        start_difference: Difference of the start to that of the segment before, ticks; 0 where the
            entry has none.
    """

    byte: Int64Array
    code: UInt8Array
    size: _UInt64Array
    track: UInt8Array
    frames_less_1: _UInt64Array
    start_difference: Int64Array

    def __len__(self) -> int:
        return len(self.code)

    def require(self, right: BoolArray, otherwise: str, cursor: Cursor) -> None:
        """Check that a condition holds for all entries.

        Args:
            right: Whether it holds, shape (N,).
            otherwise: What is wrong if not.
            cursor: Reader of the section, for the error.

        Raises:
            BitstreamError: If it does not; the message names the first byte of the entry.
        """
        if not right.all():
            raise cursor.error(otherwise, int(self.byte[right.argmin()]))


def read_entries(cursor: Cursor, most: int) -> EntryFields:
    """Read the next entries, at least one.

    Args:
        cursor: Reader of the section, before an entry; it is left behind those that are read.
        most: Number of entries that are left to read, at least 1.

    Raises:
        BitstreamError: If the section ends inside an entry, or an integer is malformed.
    """
    origin = cursor.offset
    data = np.frombuffer(cursor.peek(_CHUNK + 2 + 3 * _LONGEST), np.uint8)
    if not len(data):
        raise cursor.error("the section ends before its last entry")
    count = len(data)
    # Last byte of the integer that begins, or goes on, at a byte; `count` if the data ends inside.
    places = np.where(data < 0x80, np.arange(count), count)
    last = np.append(np.minimum.accumulate(places[::-1])[::-1], [count, count])
    byte = _first_bytes(data[:_CHUNK], last)[:most]
    code = data[byte]
    size_last = last[byte + 1]
    has_track, has_frames = code == CODE_OF_PACKETS, code >= FIRST_CODE_OF_SEGMENTS
    after = np.minimum(size_last + 1, count)
    frames_last = np.where(has_frames, last[after], size_last)
    start = np.minimum(frames_last + 1, count)
    end = np.where(has_frames, last[start], size_last + has_track)
    size, right = _integers(data, byte + 1, size_last)
    frames_less_1, start_difference = np.zeros((2, len(byte)), np.uint64)
    for field, first_byte, last_byte in (
        (frames_less_1, after, frames_last),
        (start_difference, start, end),
    ):
        values, valid = _integers(data, first_byte[has_frames], last_byte[has_frames])
        field[has_frames] = values
        right[has_frames] &= valid
    fields = EntryFields(
        byte=origin + byte,
        code=code,
        size=size,
        track=np.where(has_track, data[np.minimum(after, count - 1)], np.uint8(0)),
        frames_less_1=frames_less_1,
        start_difference=_signed(start_difference),
    )
    cut = "the section ends inside the entry, or an integer in it is not in its shortest form"
    fields.require(right & (end < count), cut, cursor)
    cursor.take("entries", int(end[-1]) + 1)
    return fields


def _first_bytes(data: UInt8Array, last: Int64Array) -> Int64Array:
    """Return the bytes at which an entry begins, the first of them 0.

    Args:
        data: Bytes of entries.
        last: Last byte of the integer at every byte; as many more as an entry may take.
    """
    count, end = len(data), len(last) - 2  # the data goes on behind the bytes of interest
    after = np.minimum(last[1 : count + 1] + 1, end)  # of code and size
    following = after + (data == CODE_OF_PACKETS)
    segments = np.flatnonzero(data >= FIRST_CODE_OF_SEGMENTS)
    frames_after = np.minimum(last[after[segments]] + 1, end)
    following[segments] = last[frames_after] + 1
    jump = np.append(np.minimum(following, count), count).astype(np.int32)
    found = np.zeros(1, np.int32)
    for _ in repeat(None):
        further = jump[found]
        further = further[further < count]
        if not len(further):
            break
        found = np.concatenate([found, further])
        jump = jump[jump]
    return found.astype(np.int64)


def _integers(
    data: UInt8Array, first: Int64Array, last: Int64Array
) -> tuple[_UInt64Array, BoolArray]:
    """Return unsigned LEB128 integers, and which of them are whole, below 2**64 and shortest.

    Args:
        data: Bytes that hold them.
        first: First byte of each.
        last: Last byte of each; the length of the data for one that is not whole.
    """
    end = data[np.minimum(last, len(data) - 1)]
    length = last - first + 1
    right = (last < len(data)) & (length <= _LONGEST) & ((end != 0) | (length == 1))
    right &= (length < _LONGEST) | (end <= 1)
    values = np.zeros(len(first), np.uint64)
    for place in range(min(_LONGEST, int(length.max(initial=0)))):
        bits = data[np.minimum(first + place, len(data) - 1)].astype(np.uint64) & np.uint64(0x7F)
        values |= np.where(place < length, bits << np.uint64(7 * place), np.uint64(0))
    return values, right


def _signed(values: _UInt64Array) -> Int64Array:
    """Return the signed integers that zigzag mapped to unsigned ones."""
    one = np.uint64(1)
    return (values >> one).astype(np.int64) ^ -(values & one).astype(np.int64)
