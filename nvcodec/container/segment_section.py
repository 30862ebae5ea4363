"""Segment sections of an `.nvc` file, both ways: which frames a segment holds, and when they are shown."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from nvcodec.container.framing import (
    MAX_TICKS,
    Cursor,
    Payload,
)
from nvcodec.container.header import SEGMENT
from nvcodec.errors import BitstreamError, ConfigError

MAX_SEGMENT_FRAMES = 2**16


MAX_FRAMES = 2**32 - 1


SUMMARY_SIZE = 1 + 5 + 3 + 10
"""Most bytes of the fields that start a segment: flags, first frame, frames, start."""


_PREDICTED, _IRREGULAR = 1, 2


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
