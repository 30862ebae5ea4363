"""Segments of an `.nvc` file and the index that finds them: which frames, when, and where.

Owns the layout of SEGM, indx and DONE payloads, both ways. A segment's own payload, the state of
its network, is opaque here. The format is `docs/bitstream.md`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from nvcodec.container.framing import (
    CRC_SIZE,
    MAX_TICKS,
    PREAMBLE,
    TYPE_SIZE,
    Cursor,
    Payload,
    section,
)
from nvcodec.container.header import HEADER, INDEX, METADATA, PACKETS, SEGMENT, TRACK
from nvcodec.errors import BitstreamError, ConfigError

MAX_SEGMENT_FRAMES = 2**16
MAX_FRAMES = 2**32 - 1
MAX_SECTIONS = 2**20
"""Most sections between preamble and index: what bounds the memory that an index takes."""
SUMMARY_SIZE = 1 + 5 + 3 + 10
"""Most bytes of the fields that start a segment: flags, first frame, frames, start."""
END_SIZE = TYPE_SIZE + 1 + 4 + CRC_SIZE
"""Bytes of a whole DONE section, which is how it is found from the end of a file."""

_PREDICTED, _IRREGULAR = 1, 2
_MIN_SECTION = TYPE_SIZE + 1 + CRC_SIZE

# Codes of the index; part of the bitstream, never reuse a number. 0 is any other type, and a
# predicted segment has a code of its own.
_CODES = {HEADER: 1, TRACK: 2, METADATA: 3, PACKETS: 4, SEGMENT: 5}
_CODE_PREDICTED = 6
OTHER = "other"
_KINDS = {code: kind for kind, code in _CODES.items()} | {0: OTHER, _CODE_PREDICTED: SEGMENT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Consecutive frames coded by one network state.

    Attributes:
        first_frame: Number of the first frame in the video, from 0.
        pts: Presentation timestamps in ticks of the video's time base, one per frame, strictly
            increasing, magnitude below 2**61. Any sequence of integers; kept as a tuple.
        durations: Ticks each frame is shown, 0 where unknown, one per frame.
        payload: State of the network, opaque to the container.
        predicted: The payload needs the decoded state of the previous segment.
    """

    first_frame: int
    pts: Sequence[int]
    durations: Sequence[int]
    payload: bytes
    predicted: bool = False

    def __post_init__(self) -> None:
        # numpy arrays are welcome, but neither compare nor stay frozen.
        object.__setattr__(self, "pts", tuple(map(int, self.pts)))
        object.__setattr__(self, "durations", tuple(map(int, self.durations)))

    @property
    def frames(self) -> int:
        """Number of frames."""
        return len(self.pts)

    @property
    def end(self) -> int:
        """Ticks at which the last frame ends."""
        return self.pts[-1] + self.durations[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokensSection:
    """The tokens of the segment that follows.

    Attributes:
        segment: Its times; the tokens, coded, are the payload.
    """

    segment: Segment


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a reader knows of a segment without reading its payload.

    Attributes:
        first_frame: Number of the first frame in the video.
        frames: Number of frames, 1 to 65536.
        start: Timestamp of the first frame, ticks.
        predicted: The segment needs the one before it.
        irregular: Its timestamps are listed one by one; the index does not say.
    """

    first_frame: int
    frames: int
    start: int
    predicted: bool
    irregular: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One section, as the index lists it.

    Attributes:
        kind: Section type, or `OTHER` for a type the index has no code for.
        offset: Byte offset of the section.
        size: Bytes of the section, type and CRC included.
        track: Number of the track a packets section belongs to, else 0.
        segment: What a segment section holds, else None.
    """

    kind: str
    offset: int
    size: int
    track: int = 0
    segment: Summary | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """Every section between the preamble and the index itself, in file order.

    Attributes:
        entries: The sections.
        end: Ticks at which the last frame ends; 0 where there are no segments.
    """

    entries: tuple[Entry, ...]
    end: int


def write_segment(segment: Segment, kind: str = SEGMENT) -> bytes:
    """The payload of a SEGM section, or of one of tokens, which is laid out alike.

    Args:
        segment: The segment.
        kind: Type of the section, for messages.

    Raises:
        ConfigError: If a field is outside the range `Segment` states.
    """
    out, pts, durations = Payload(kind), segment.pts, segment.durations
    out.check("frames", len(pts), 1, MAX_SEGMENT_FRAMES)
    if len(durations) != len(pts):
        raise ConfigError(f"{len(pts)} timestamps need as many durations, got {len(durations)}")
    if segment.predicted and segment.first_frame == 0:
        raise ConfigError("the first segment has no previous one to be predicted from")
    gaps = [later - earlier for earlier, later in pairwise(pts)]
    if any(gap < 1 for gap in gaps):
        raise ConfigError("timestamps of a segment must increase strictly")
    for tick in (pts[0], pts[-1]):
        out.check("timestamp", tick, -MAX_TICKS, MAX_TICKS)
    for duration in set(durations):
        out.check("duration", duration, 0, MAX_TICKS)
    regular = len(set(gaps)) <= 1 and len(set(durations)) == 1
    out.u8("flags", _PREDICTED * segment.predicted | _IRREGULAR * (not regular))
    out.varint("first frame", segment.first_frame, 0, MAX_FRAMES - len(pts))
    out.varint("frames - 1", len(pts) - 1)
    out.signed("start", pts[0])
    if regular:
        step = gaps[0] if gaps else max(durations[0], 1)
        out.varint("step", step)
        out.signed("duration - step", durations[0] - step)
    else:
        out.sized("timing", _pack_timing(gaps, durations), MAX_TICKS)
    out.raw(segment.payload)
    return bytes(out)


def read_summary(cursor: Cursor) -> Summary:
    """The first fields of a SEGM payload; leaves the cursor at the timing.

    Raises:
        BitstreamError: If a field is missing or out of range.
    """
    flags = cursor.u8("flags", 0, _PREDICTED | _IRREGULAR)
    first_frame = cursor.varint("first frame", 0, MAX_FRAMES - 1)
    start = cursor.offset
    frames = 1 + cursor.varint("frames - 1", 0, MAX_SEGMENT_FRAMES - 1)
    if first_frame + frames > MAX_FRAMES:
        raise cursor.error(f"a video has at most {MAX_FRAMES} frames", start)
    if flags & _PREDICTED and first_frame == 0:
        raise cursor.error("the first segment cannot be predicted from a previous one", start)
    return Summary(
        first_frame=first_frame,
        frames=frames,
        start=cursor.signed("start", MAX_TICKS),
        predicted=bool(flags & _PREDICTED),
        irregular=bool(flags & _IRREGULAR),
    )


def read_segment(cursor: Cursor) -> Segment:
    """The mirror of `write_segment`, of either kind of section.

    Raises:
        BitstreamError: If the section is malformed.
    """
    summary = read_summary(cursor)
    frames, start = summary.frames, cursor.offset
    if summary.irregular:
        size = cursor.varint("length of timing", 1, cursor.remaining)
        pts, durations = _unpack_timing(cursor, cursor.take("timing", size), summary)
    else:
        step = cursor.varint("step", 1, 2 * MAX_TICKS)
        duration = step + cursor.signed("duration - step", 2 * MAX_TICKS)
        if not 0 <= duration <= MAX_TICKS or summary.start + (frames - 1) * step > MAX_TICKS:
            raise cursor.error("a timestamp or duration is out of range", start)
        pts = [summary.start + number * step for number in range(frames)]
        durations = [duration] * frames
    return Segment(
        first_frame=summary.first_frame,
        pts=pts,
        durations=durations,
        payload=cursor.rest(),
        predicted=summary.predicted,
    )


def _pack_timing(gaps: list[int], durations: Sequence[int]) -> bytes:
    """Gaps between timestamps, then each duration less the gap after its frame, deflated.

    A frame is usually shown until the next one, which leaves zeros for the second part.
    """
    plain = Payload(SEGMENT)
    for gap in gaps:
        plain.varint("gap", gap)
    for duration, gap in zip(durations, [*gaps, gaps[-1]], strict=True):
        plain.signed("duration", duration - gap)
    return zlib.compress(bytes(plain), 9)


def _unpack_timing(cursor: Cursor, packed: bytes, summary: Summary) -> tuple[list[int], list[int]]:
    frames, where = summary.frames, cursor.offset - len(packed)
    if frames < 2:
        raise cursor.error("a single frame has no irregular timing", where)
    inflate = zlib.decompressobj()
    try:
        # The most that this many frames can need: nothing larger is ever allocated.
        limit = 10 * (2 * frames - 1)
        plain = inflate.decompress(packed, limit + 1)
    except zlib.error as error:
        raise cursor.error(f"timing does not inflate: {error}", where) from None
    if not inflate.eof or inflate.unused_data or len(plain) > limit:
        raise cursor.error(f"timing is not one zlib stream of at most {limit} bytes", where)
    inner = Cursor(plain, section=f"timing in {cursor.section}", offset=0)
    try:
        pts = [summary.start]
        gaps = [inner.varint("gap", 1, 2 * MAX_TICKS) for _ in range(frames - 1)]
        for gap in gaps:
            pts.append(pts[-1] + gap)
        durations = [inner.signed("duration") + gap for gap in (*gaps, gaps[-1])]
        inner.finish()
    except BitstreamError as error:
        raise cursor.error(f"deflated timing is malformed: {error}", where) from None
    if pts[-1] > MAX_TICKS or not 0 <= min(durations) <= max(durations) <= MAX_TICKS:
        raise cursor.error("a timestamp or duration is out of range", where)
    return pts, durations


def write_index(index: Index) -> bytes:
    """The payload of an indx section."""
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
    """The mirror of `write_index`.

    Raises:
        BitstreamError: If the index is malformed, or its segments are not in order.
    """
    entries: list[Entry] = []
    offset, frame, start = len(PREAMBLE), 0, -MAX_TICKS - 1
    previous = 0
    # An entry takes two bytes at least: code and size.
    for _ in range(cursor.varint("sections", 0, min(MAX_SECTIONS, cursor.remaining // 2))):
        where = cursor.offset
        code = cursor.u8("code", 0, _CODE_PREDICTED)
        kind = _KINDS[code]
        size = cursor.varint("size", _MIN_SECTION, 2**32)
        track = cursor.u8("track") if kind == PACKETS else 0
        summary = None
        if kind == SEGMENT:
            summary = Summary(
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
        entries.append(Entry(kind=kind, offset=offset, size=size, track=track, segment=summary))
        offset += size
    end = previous + cursor.signed("end difference")
    if not (end == 0 if frame == 0 else start <= end <= 2 * MAX_TICKS):
        raise cursor.error(f"the video ends at {end} ticks, before its last segment starts")
    cursor.finish()
    return Index(entries=tuple(entries), end=end)


def write_end(index_size: int) -> bytes:
    """A whole DONE section, always `END_SIZE` bytes.

    Args:
        index_size: Bytes of the whole indx section just before it.
    """
    return section("DONE", struct.pack("<I", index_size))


def read_end(cursor: Cursor) -> int:
    """Bytes of the index section that stands before the DONE section.

    Raises:
        BitstreamError: If the section is malformed.
    """
    (size,) = struct.unpack("<I", cursor.take("size of the index", 4))
    cursor.finish()
    return int(size)
