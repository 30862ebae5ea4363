"""Segment and token sections of an `.nvc` file, as bytes and back.

Owns the numbers and times of a segment's frames. The payload, a network's state or coded tokens, is
opaque here. The layout is specified in `docs/bitstream.md`.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from nvcodec.container.fields import Cursor, Payload
from nvcodec.container.framing import MAX_TICKS
from nvcodec.container.section_types import SEGMENT
from nvcodec.errors import BitstreamError, ConfigError

MAX_SEGMENT_FRAMES = 2**16
MAX_FRAMES = 2**32 - 1
SUMMARY_SIZE = 1 + 5 + 3 + 10
"""Most bytes of the fields that start a segment: flags, first frame, frames, start."""

_PREDICTED, _IRREGULAR = 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Consecutive frames that are coded by one payload.

    Attributes:
        first_frame: Number of the first frame in the video, from 0.
        pts: Presentation timestamps in ticks of the video's time base, one per frame, strictly
            increasing, magnitude below 2**61. Any sequence of integers; kept as a tuple.
        durations: Duration of each frame, ticks, 0 where unknown.
        payload: Coded state of the segment's model, opaque to the container.
        predicted: Whether decoding needs the decoded state of the previous segment.
    """

    first_frame: int
    pts: Sequence[int]
    durations: Sequence[int]
    payload: bytes
    predicted: bool = False

    def __post_init__(self) -> None:
        # NumPy arrays are accepted, but are neither comparable as a whole nor immutable.
        object.__setattr__(self, "pts", tuple(map(int, self.pts)))
        object.__setattr__(self, "durations", tuple(map(int, self.durations)))

    @property
    def frames(self) -> int:
        """Number of frames."""
        return len(self.pts)

    @property
    def end(self) -> int:
        """Time at which the last frame ends, ticks."""
        return self.pts[-1] + self.durations[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokensSection:
    """The tokens of the segment that follows.

    Attributes:
        segment: Numbers and times of that segment's frames, with the coded tokens as payload.
    """

    segment: Segment


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentSummary:
    """The fields of a segment before its timing and payload.

    Attributes:
        first_frame: Number of the first frame in the video.
        frames: Number of frames, 1 to 65536.
        start: Timestamp of the first frame, ticks.
        predicted: Whether decoding needs the previous segment.
        irregular: Whether the timestamps are listed one by one; not recorded in the index.
    """

    first_frame: int
    frames: int
    start: int
    predicted: bool
    irregular: bool = False


def write_segment(segment: Segment, kind: str = SEGMENT) -> bytes:
    """Return the payload of a SEGM section, or of a section of tokens, which has the same layout.

    Args:
        segment: The segment.
        kind: Section type, used in errors.

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


def read_summary(cursor: Cursor) -> SegmentSummary:
    """Read the first fields of a SEGM payload and leave the cursor at the timing.

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
    return SegmentSummary(
        first_frame=first_frame,
        frames=frames,
        start=cursor.signed("start", MAX_TICKS),
        predicted=bool(flags & _PREDICTED),
        irregular=bool(flags & _IRREGULAR),
    )


def read_segment(cursor: Cursor) -> Segment:
    """Read the payload of a SEGM section or of a section of tokens.

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
    """Deflate the gaps between timestamps, then each duration minus the gap after its frame.

    A frame is usually shown until the next one, so the second part is mostly zeros.
    """
    plain = Payload(SEGMENT)
    for gap in gaps:
        plain.varint("gap", gap)
    for duration, gap in zip(durations, [*gaps, gaps[-1]], strict=True):
        plain.signed("duration", duration - gap)
    return zlib.compress(bytes(plain), 9)


def _unpack_timing(
    cursor: Cursor, packed: bytes, summary: SegmentSummary
) -> tuple[list[int], list[int]]:
    frames, where = summary.frames, cursor.offset - len(packed)
    if frames < 2:
        raise cursor.error("a single frame has no irregular timing", where)
    inflate = zlib.decompressobj()
    try:
        # This many frames cannot need more bytes, so nothing larger is ever allocated.
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
