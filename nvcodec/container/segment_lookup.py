"""The segments of an `.nvc` file as its index tells of them, and finding one among them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor

from nvcodec.container.damage import Damage
from nvcodec.container.index import Entry
from nvcodec.errors import BitstreamError


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentEntry:
    """Where a segment lies and what it holds.

    Attributes:
        index: Position in `Reader.segments`.
        first_frame: Number of its first frame in the video.
        frames: Number of frames.
        start: Timestamp of its first frame, ticks of the video's time base.
        predicted: It needs the decoded state of the segment before it.
        offset: Byte offset of the section.
        size: Bytes of the section, framing and timestamps included.
    """

    index: int
    first_frame: int
    frames: int
    start: int
    predicted: bool
    offset: int
    size: int

    @property
    def stop_frame(self) -> int:
        """Number of the frame after its last."""
        return self.first_frame + self.frames


def segments_of(entries: Iterable[Entry]) -> tuple[SegmentEntry, ...]:
    """The segments among sections, in order."""
    lying = [(entry, entry.segment) for entry in entries if entry.segment]
    return tuple(
        SegmentEntry(
            index=index,
            first_frame=segment.first_frame,
            frames=segment.frames,
            start=segment.start,
            predicted=segment.predicted,
            offset=entry.offset,
            size=entry.size,
        )
        for index, (entry, segment) in enumerate(lying)
    )


def segment_with(
    segments: Sequence[SegmentEntry], frame: int, damage: Iterable[Damage]
) -> SegmentEntry:
    """The segment that holds a frame.

    Args:
        segments: In order.
        frame: Number of the frame in the video, from 0.
        damage: Tells what became of a frame that none of them holds.

    Raises:
        IndexError: If the video has no such frame, as far as is known.
        ChecksumError: If the section that held it is damaged.
        BitstreamError: If it was lost otherwise.
    """
    position = bisect_right(segments, frame, key=lambda entry: entry.first_frame) - 1
    if position >= 0 and frame < segments[position].stop_frame:
        return segments[position]
    for one in damage:
        if one.frames and one.frames[0] <= frame:
            stop = one.frames[1]
            if stop is None or frame < stop:
                raise one.error()
    raise IndexError(f"frame {frame} of {segments[-1].stop_frame if segments else 0}")


def segment_shown(
    segments: Sequence[SegmentEntry], seconds: float | Fraction, time_base: Fraction
) -> SegmentEntry:
    """The segment shown at a time; the first or last one for times outside the video.

    Args:
        segments: In order.
        seconds: Time on the scale of the timestamps: `pts * time_base`. Finite.
        time_base: Seconds of a tick.

    Raises:
        IndexError: If there are no segments.
    """
    if not segments:
        raise IndexError("the stream holds no segments")
    ticks = floor(Fraction(seconds) / time_base)
    position = bisect_right(segments, ticks, key=lambda entry: entry.start) - 1
    return segments[max(position, 0)]


def segments_needed(
    segments: Sequence[SegmentEntry], index: int, damage: Iterable[Damage]
) -> range:
    """The segments to decode, in order, to have segment `index`: it and those it leans on.

    Args:
        segments: In order.
        index: Of one of them.
        damage: Tells what became of one that is missing.

    Raises:
        BitstreamError: If one that it is predicted from was lost.
    """
    first = index
    while segments[first].predicted:
        wanted = segments[first].first_frame
        if first == 0 or segments[first - 1].stop_frame != wanted:
            segment_with(segments, wanted - 1, damage)  # says what happened to it
            raise BitstreamError(f"frame {wanted - 1} was lost, and segment {index} needs it")
        first -= 1
    return range(first, index + 1)
