"""Index and end sections of an `.nvc` file, as bytes and back.

The index lists offset and size of every section, and frames and start of every segment. The layout
is specified in `docs/bitstream.md`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nvcodec.container.fields import Cursor, Payload
from nvcodec.container.framing import CRC_SIZE, MAX_TICKS, PREAMBLE, TYPE_SIZE, write_section
from nvcodec.container.index_fields import (
    CODE_OF_PACKETS,
    FIRST_CODE_OF_SEGMENTS,
    EntryFields,
    read_entries,
)
from nvcodec.container.section_list import (
    OTHER,
    RECORD,
    IndexEntry,
    Records,
    SectionCollector,
    SectionList,
)
from nvcodec.container.section_types import END, HEADER, INDEX, METADATA, PACKETS, SEGMENT, TRACK
from nvcodec.container.segment_section import MAX_FRAMES, MAX_SEGMENT_FRAMES, SegmentSummary

MAX_SECTIONS = 2**20
"""Most sections between preamble and index; bounds the memory that an index takes."""
END_SIZE = TYPE_SIZE + 1 + 4 + CRC_SIZE
"""Bytes of a whole DONE section. It is constant, so the section is found from the end of a file."""

_MIN_SECTION, _MAX_SIZE = TYPE_SIZE + 1 + CRC_SIZE, 2**32

# Codes of the bitstream; a number is never reused. 0 stands for any other type, and a predicted
# segment has a code of its own.
_CODES = {HEADER: 1, TRACK: 2, METADATA: 3, PACKETS: 4, SEGMENT: 5}
_CODE_PREDICTED = 6
_NAMES = (OTHER, HEADER, TRACK, METADATA, PACKETS, SEGMENT, SEGMENT)
_KINDS = np.array(_NAMES, "S5")

_FEW = 64
"""Most entries that are read one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """The sections between the preamble and the index itself.

    Attributes:
        entries: Sections in file order.
        end: Time at which the last frame ends, ticks; 0 if there are no segments.
    """

    entries: Sequence[IndexEntry]
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredIndex(Index):
    """An index that was read from a file."""

    entries: SectionList


def write_index(index: Index) -> bytes:
    """Return the payload of an indx section."""
    out = Payload(INDEX)
    out.varint("sections", len(index.entries))
    start = 0
    for entry in index.entries:
        code = _CODES.get(entry.kind, 0)
        out.u8("code", _CODE_PREDICTED if entry.segment and entry.segment.predicted else code)
        out.varint("size", entry.size)
        if entry.kind == PACKETS:
            out.u8("track", entry.track)
        if entry.segment:
            out.varint("frames - 1", entry.segment.frames - 1)
            out.signed("start difference", entry.segment.start - start)
            start = entry.segment.start
    out.signed("end difference", index.end - start)
    return bytes(out)


def read_index(cursor: Cursor) -> StoredIndex:
    """Read the payload of an indx section.

    Raises:
        BitstreamError: If the index is malformed, or its segments are not in order.
    """
    # An entry takes at least two bytes, code and size, which bounds the allocation.
    count = cursor.varint("sections", 0, min(MAX_SECTIONS, cursor.remaining // 2))
    if count <= _FEW:
        entries, state = _read_one_by_one(cursor, count)
    else:
        entries, state = _read_together(cursor, count)
    end = state.start + cursor.signed("end difference")
    if not (end == 0 if state.frame == 0 else state.start <= end <= 2 * MAX_TICKS):
        raise cursor.error(f"the video ends at {end} ticks, before its last segment starts")
    cursor.finish()
    return StoredIndex(entries=entries, end=end)


@dataclass(frozen=True, slots=True)
class _State:
    """Sums over the entries read so far.

    Attributes:
        offset: Byte offset of the next section.
        frame: Number of the next frame.
        start: Timestamp of the last segment, ticks; 0 before the first.
    """

    offset: int = len(PREAMBLE)
    frame: int = 0
    start: int = 0


def _read_one_by_one(cursor: Cursor, count: int) -> tuple[SectionList, _State]:
    """Read few entries, for which calls of numpy would take longer.

    Raises:
        BitstreamError: If a field is out of range, or a segment out of order.
    """
    entries = SectionCollector()
    offset, frame, start = len(PREAMBLE), 0, 0
    for _ in range(count):
        where = cursor.offset
        code = cursor.u8("code", 0, _CODE_PREDICTED)
        size = cursor.varint("size", _MIN_SECTION, _MAX_SIZE)
        track = cursor.u8("track") if code == CODE_OF_PACKETS else 0
        summary = None
        if code >= FIRST_CODE_OF_SEGMENTS:
            summary = SegmentSummary(
                first_frame=frame,
                frames=1 + cursor.varint("frames - 1", 0, MAX_SEGMENT_FRAMES - 1),
                start=start + cursor.signed("start difference"),
                predicted=code == _CODE_PREDICTED,
            )
            earliest = start + 1 if frame else -MAX_TICKS
            in_order = earliest <= summary.start <= MAX_TICKS
            if not in_order or (summary.predicted and frame == 0):
                raise cursor.error(f"the segment of frame {frame} is out of order", where)
            start, frame = summary.start, frame + summary.frames
            if frame > MAX_FRAMES:
                raise cursor.error(f"a video has at most {MAX_FRAMES} frames", where)
        kind = _NAMES[code]
        entries.append(
            IndexEntry(kind=kind, offset=offset, size=size, track=track, segment=summary)
        )
        offset += size
    return entries.sections(), _State(offset, frame, start)


def _read_together(cursor: Cursor, count: int) -> tuple[SectionList, _State]:
    """Read many entries, thousands at a time and without an object for each.

    Raises:
        BitstreamError: If a field is out of range, or a segment out of order.
    """
    records = np.zeros(count, RECORD)
    state, done = _State(), 0
    while done < count:
        fields = read_entries(cursor, count - done)
        state = _fill(records[done : done + len(fields)], fields, state, cursor)
        done += len(fields)
    return SectionList(records), state


def _fill(records: Records, fields: EntryFields, before: _State, cursor: Cursor) -> _State:
    """Check entries and convert them to records, which are filled.

    Raises:
        BitstreamError: If a field is out of range, or a segment out of order.
    """
    segments, predicted = fields.code >= FIRST_CODE_OF_SEGMENTS, fields.code == _CODE_PREDICTED
    right = (fields.code <= _CODE_PREDICTED) & (fields.size >= _MIN_SECTION)
    right &= (fields.size <= _MAX_SIZE) & (fields.frames_less_1 < MAX_SEGMENT_FRAMES)
    fields.require(right, "a code, size or number of frames is out of range", cursor)
    records["kind"] = _KINDS[fields.code]
    records["track"], records["predicted"] = fields.track, predicted
    records["size"] = fields.size
    offsets = before.offset + np.cumsum(records["size"])
    records["offset"] = offsets - records["size"]
    frames = np.where(segments, fields.frames_less_1.astype(np.int64) + 1, 0)
    stops = before.frame + np.cumsum(frames)
    fields.require(stops <= MAX_FRAMES, f"a video has at most {MAX_FRAMES} frames", cursor)
    records["frames"] = frames
    records["first_frame"] = np.where(segments, stops - frames, 0)
    first = segments & (stops == frames)
    # Up to the first entry that is out of order, no sum overflows: times are below 2**61.
    steps = fields.start_difference
    right = (steps >= np.where(first, -MAX_TICKS, 1)) & (steps <= 2 * MAX_TICKS)
    starts = before.start + np.cumsum(np.where(segments & right, steps, 0))
    right &= (starts <= MAX_TICKS) & ~(first & predicted)
    fields.require(right | ~segments, "the segment is out of order", cursor)
    records["start"] = np.where(segments, starts, 0)
    return _State(int(offsets[-1]), int(stops[-1]), int(starts[-1]))


def write_end(index_size: int) -> bytes:
    """Return a whole DONE section, always `END_SIZE` bytes.

    Args:
        index_size: Size of the whole indx section just before it, bytes.
    """
    return write_section(END, struct.pack("<I", index_size))


def read_end(cursor: Cursor) -> int:
    """Read the payload of a DONE section: the size of the indx section before it, bytes.

    Raises:
        BitstreamError: If the section is malformed.
    """
    (size,) = struct.unpack("<I", cursor.take("size of the index", 4))
    cursor.finish()
    return int(size)
