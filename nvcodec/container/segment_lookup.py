"""Lookup of segments in an `.nvc` file: by frame, by time, and with their reference segments."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import floor

from nvcodec.container.damage import Damage
from nvcodec.container.section_list import SegmentEntry, SegmentList
from nvcodec.container.segment_section import Segment
from nvcodec.errors import BitstreamError
from nvcodec.indexing import Seconds, exact_seconds


def matches_entry(segment: Segment, entry: SegmentEntry, *, predicted: bool) -> bool:
    """Return whether a section holds the frames of the segment that the index lists.

    Args:
        segment: Contents of a segment section or of a section of tokens.
        entry: The segment as the index lists it.
        predicted: Expected value of `segment.predicted`.
    """
    return (segment.first_frame, segment.frames, segment.pts[0], segment.predicted) == (
        entry.first_frame,
        entry.frames,
        entry.start,
        predicted,
    )


def segment_with(
    segments: Sequence[SegmentEntry], frame: int, damage: Iterable[Damage]
) -> SegmentEntry:
    """Return the segment that holds a frame.

    Args:
        segments: Segments in order.
        frame: Number of the frame in the video, from 0.
        damage: Damage of the file; explains the loss of a frame that no segment holds.

    Raises:
        IndexError: If the video is not known to have such a frame.
        ChecksumError: If the section that held the frame is damaged.
        BitstreamError: If the frame was lost otherwise.
    """
    position = bisect_right(segments, frame, key=lambda entry: entry.first_frame) - 1
    if position >= 0 and frame < segments[position].stop_frame:
        return segments[position]
    for loss in damage:
        if loss.frames and loss.frames[0] <= frame:
            stop = loss.frames[1]
            if stop is None or frame < stop:
                raise loss.error()
    raise IndexError(f"frame {frame} of {segments[-1].stop_frame if segments else 0}")


def segment_shown(
    segments: Sequence[SegmentEntry], seconds: Seconds, time_base: Fraction
) -> SegmentEntry:
    """Return the segment shown at a time; the first or last one for times outside the video.

    Args:
        segments: Segments in order.
        seconds: Time on the scale of the timestamps, `pts * time_base`.
        time_base: Seconds per tick.

    Raises:
        ConfigError: If the time is not a number (NaN).
        IndexError: If there are no segments.
    """
    if not segments:
        raise IndexError("the stream holds no segments")
    ticks = floor(exact_seconds(seconds) / time_base)
    position = bisect_right(segments, ticks, key=lambda entry: entry.start) - 1
    return segments[max(position, 0)]


def segments_needed(segments: SegmentList, index: int, damage: Iterable[Damage]) -> range:
    """Return the segments to decode, in order, for segment `index`: its references and itself.

    Args:
        segments: Segments in order.
        index: Position of a segment in `segments`.
        damage: Damage of the file; explains the loss of a reference.

    Raises:
        BitstreamError: If a segment that it is predicted from was lost.
    """
    first = int(segments.chain_begins[index])
    begin = segments[first]
    if begin.predicted:
        lost = begin.first_frame - 1
        segment_with(segments, lost, damage)  # raises the error that explains the loss
        raise BitstreamError(f"frame {lost} was lost, and segment {index} needs it")
    return range(first, index + 1)
