"""Index and end sections of an `.nvc` file, as bytes and back.

The index lists offset and size of every section, and frames and start of every segment. The layout
is specified in `docs/bitstream.md`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from nvcodec.container.fields import Cursor, Payload
from nvcodec.container.framing import CRC_SIZE, MAX_TICKS, PREAMBLE, TYPE_SIZE, write_section
from nvcodec.container.section_types import END, HEADER, INDEX, METADATA, PACKETS, SEGMENT, TRACK
from nvcodec.container.segment_section import MAX_FRAMES, MAX_SEGMENT_FRAMES, SegmentSummary

MAX_SECTIONS = 2**20
"""Most sections between preamble and index; bounds the memory that an index takes."""
END_SIZE = TYPE_SIZE + 1 + 4 + CRC_SIZE
"""Bytes of a whole DONE section. It is constant, so the section is found from the end of a file."""

_MIN_SECTION = TYPE_SIZE + 1 + CRC_SIZE

# Codes of the bitstream; a number is never reused. 0 stands for any other type, and a predicted
# segment has a code of its own.
_CODES = {HEADER: 1, TRACK: 2, METADATA: 3, PACKETS: 4, SEGMENT: 5}
_CODE_PREDICTED = 6
OTHER = "other"
_KINDS = {code: kind for kind, code in _CODES.items()} | {0: OTHER, _CODE_PREDICTED: SEGMENT}


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexEntry:
    """One section as the index lists it.

    Attributes:
        kind: Section type, or `OTHER` for a type the index has no code for.
        offset: Byte offset of the section.
        size: Size of the section, bytes, type and CRC included.
        track: Number of the track that a packets section belongs to, else 0.
        segment: Frames and start of a segment section, else None.
    """

    kind: str
    offset: int
    size: int
    track: int = 0
    segment: SegmentSummary | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """The sections between the preamble and the index itself.

    Attributes:
        entries: Sections in file order.
        end: Time at which the last frame ends, ticks; 0 if there are no segments.
    """

    entries: tuple[IndexEntry, ...]
    end: int


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


def read_index(cursor: Cursor) -> Index:
    """Read the payload of an indx section.

    Raises:
        BitstreamError: If the index is malformed, or its segments are not in order.
    """
    entries: list[IndexEntry] = []
    offset, frame, start = len(PREAMBLE), 0, -MAX_TICKS - 1
    previous = 0
    # An entry takes at least two bytes, code and size, which bounds the allocation.
    for _ in range(cursor.varint("sections", 0, min(MAX_SECTIONS, cursor.remaining // 2))):
        where = cursor.offset
        code = cursor.u8("code", 0, _CODE_PREDICTED)
        kind = _KINDS[code]
        size = cursor.varint("size", _MIN_SECTION, 2**32)
        track = cursor.u8("track") if kind == PACKETS else 0
        summary = None
        if kind == SEGMENT:
            summary = SegmentSummary(
                first_frame=frame,
                frames=1 + cursor.varint("frames - 1", 0, MAX_SEGMENT_FRAMES - 1),
                start=previous + cursor.signed("start difference"),
                predicted=code == _CODE_PREDICTED,
            )
            if not start < summary.start <= MAX_TICKS or (summary.predicted and frame == 0):
                raise cursor.error(f"the segment of frame {frame} is out of order", where)
            start = previous = summary.start
            frame += summary.frames
            if frame > MAX_FRAMES:
                raise cursor.error(f"a video has at most {MAX_FRAMES} frames", where)
        entries.append(
            IndexEntry(kind=kind, offset=offset, size=size, track=track, segment=summary)
        )
        offset += size
    end = previous + cursor.signed("end difference")
    if not (end == 0 if frame == 0 else start <= end <= 2 * MAX_TICKS):
        raise cursor.error(f"the video ends at {end} ticks, before its last segment starts")
    cursor.finish()
    return Index(entries=tuple(entries), end=end)


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
