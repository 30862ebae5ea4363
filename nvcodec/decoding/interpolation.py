"""Interpolation of pictures at any time of a video: between frames, segments and across damage.

Inside a segment, the decoder of its model family interpolates between frames. Between the last frame
of a segment and the first of the next, the two are cross-faded. At a scene cut, where frames are
missing, and before and after the video, the nearest frame is held.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from fractions import Fraction
from math import ceil, floor

import numpy as np
import torch

from nvcodec.container import Reader
from nvcodec.decoding.output_timing import batch_of
from nvcodec.decoding.segment_cache import OpenSegment
from nvcodec.errors import BitstreamError
from nvcodec.media import Planes
from nvcodec.reconstruction.resampling import blended, resampled
from nvcodec.video.scene_cuts import is_cut, small_copies


class FrameInterpolator:
    """Interpolates pictures of a file at any time.

    Args:
        reader: Reader of the file.
        open_segment: Function that returns the decoder of a segment, by its number.
        warn: Function that takes a message about frames that cannot be decoded.
        device: Device that resamples cross-faded pictures.
    """

    def __init__(
        self,
        reader: Reader,
        open_segment: Callable[[int], OpenSegment],
        warn: Callable[[str], None],
        device: torch.device,
    ) -> None:
        self._reader, self._open_segment = reader, open_segment
        self._warn, self._device = warn, device
        self._video_size = (reader.header.video.height, reader.header.video.width)
        self._broken: dict[int, BitstreamError] = {}

    def planes(self, times: Sequence[Fraction], size: tuple[int, int]) -> Planes:
        """Decode or interpolate pictures at any times.

        Args:
            times: B times on the video's clock, seconds, in any order.
            size: Height and width of the pictures, samples.

        Returns:
            B pictures of that size, in the order of `times`.

        Raises:
            BitstreamError: If no frame of the file can be decoded.
            IndexError: If the file has no frames.
        """
        half = (len(times), ceil(size[0] / 2), ceil(size[1] / 2))
        out: Planes = (
            np.empty((len(times), *size), np.uint8),
            np.empty(half, np.uint8),
            np.empty(half, np.uint8),
        )
        groups: dict[int, list[int]] = {}
        for place, time in enumerate(times):
            groups.setdefault(self._reader.segment_at(time).index, []).append(place)
        beyond: list[tuple[int, dict[int, float]]] = []
        for segment, places in groups.items():
            try:
                after = self._inside(segment, {place: times[place] for place in places}, size, out)
            except BitstreamError as error:
                self._mark_broken(segment, error)
                _store(out, places, self._nearest_frame(segment, size, error))
                continue
            # Cross-fades of the segment before come only now, when this segment has been opened and
            # is still kept open.
            self._cross_fade(beyond, size, out)
            beyond = [(segment, after)] if after else []
        self._cross_fade(beyond, size, out)
        return out

    def _inside(
        self, segment: int, times: dict[int, Fraction], size: tuple[int, int], out: Planes
    ) -> dict[int, float]:
        """Store the pictures at times up to the last frame of a segment.

        Args:
            segment: Number of the segment.
            times: Seconds on the video's clock, by place in `out`.
            size: Height and width of the pictures, samples.
            out: Pictures to fill.

        Returns:
            How far the remaining times lie beyond the last frame of the segment, as a share of the
            distance to the next frame, by place in `out`.
        """
        segment_decoder = self._segment_decoder(segment)
        ticks = self._frame_times(segment, segment_decoder)
        last = self._reader.segments[segment].frames - 1
        positions = {
            place: position(time / self._reader.header.video.time_base, ticks)
            for place, time in times.items()
        }
        inside = [place for place, where in positions.items() if where <= last]
        batch = min(batch_of(size), batch_of(self._video_size))
        for start in range(0, len(inside), batch):
            places = inside[start : start + batch]
            pictures = segment_decoder.interpolate([positions[place] for place in places], size)
            _store(out, places, pictures)
        return {place: where - last for place, where in positions.items() if where > last}

    def _frame_times(self, segment: int, opened: OpenSegment) -> list[int]:
        """Return the times of the frames of a segment, and of the next frame if it follows, in ticks."""
        ticks: list[int] = opened.pts.tolist()
        entries = self._reader.segments
        if segment + 1 < len(entries):
            following = entries[segment + 1]
            if following.first_frame == entries[segment].stop_frame and following.start > ticks[-1]:
                ticks.append(following.start)
        return ticks

    def _cross_fade(
        self, beyond: Sequence[tuple[int, dict[int, float]]], size: tuple[int, int], out: Planes
    ) -> None:
        """Store the pictures between the last frame of a segment and the first of the next."""
        for segment, shares in beyond:
            last = self._reader.segments[segment].frames - 1
            try:
                before = self._segment_decoder(segment).interpolate([last], self._video_size)
            except BitstreamError as error:
                self._mark_broken(segment, error)
                _store(out, list(shares), self._nearest_frame(segment, size, error))
                continue
            after, cut = before, False
            try:
                after = self._segment_decoder(segment + 1).interpolate([0], self._video_size)
                cut = is_cut(list(small_copies(before[0])), list(small_copies(after[0])))
            except BitstreamError as error:
                self._mark_broken(segment + 1, error)
            for place, share in shares.items():
                picture = blended(before, after, floor(share) if cut else share)
                _store(out, [place], resampled(picture, size, self._device))

    def _nearest_frame(self, segment: int, size: tuple[int, int], error: BitstreamError) -> Planes:
        """Return the frame to hold for a broken segment: the last before it, or the first after it.

        Args:
            segment: Number of the broken segment.
            size: Height and width of the picture, samples.
            error: Error to raise if no other segment can be decoded.
        """
        count = len(self._reader.segments)
        for other in (*range(segment - 1, -1, -1), *range(segment + 1, count)):
            last = self._reader.segments[other].frames - 1
            try:
                frame = last if other < segment else 0
                return self._segment_decoder(other).interpolate([frame], size)
            except BitstreamError as other_error:
                self._mark_broken(other, other_error)
        raise error

    def _segment_decoder(self, segment: int) -> OpenSegment:
        if (error := self._broken.get(segment)) is not None:
            raise _without_traceback(error)
        return self._open_segment(segment)

    def _mark_broken(self, segment: int, error: BitstreamError) -> None:
        """Warn about a segment that cannot be decoded, and do not try it again."""
        self._broken.setdefault(segment, _without_traceback(error))
        entry = self._reader.segments[segment]
        self._warn(
            f"frames {entry.first_frame}..{entry.stop_frame - 1} are not decoded, the picture "
            f"nearest to them is held: {error}"
        )


def _without_traceback(error: BitstreamError) -> BitstreamError:
    """Return an error to keep or to raise again: a traceback keeps the pictures of its callers alive."""
    return type(error)(*error.args)


def position(tick: Fraction, ticks: Sequence[int]) -> float:
    """Convert a time to a fractional frame number.

    Frame times are rounded to ticks. A time at most half a tick from a frame, and at most 1/16 of
    the distance to the next frame, is therefore taken for the time of that frame.

    Args:
        tick: The time, in ticks.
        ticks: Times of the frames, strictly increasing, in ticks.

    Returns:
        0 to the number of frames less 1; fractions lie between frames.
    """
    place = bisect_right(ticks, tick) - 1
    if not 0 <= place < len(ticks) - 1:
        return float(max(place, 0))
    gap = ticks[place + 1] - ticks[place]
    near, passed = min(Fraction(1, 2), Fraction(gap, 16)), tick - ticks[place]
    if passed <= near:
        return float(place)
    return float(place + (1 if gap - passed <= near else passed / gap))


def _store(out: Planes, places: Sequence[int], pictures: Planes) -> None:
    """Store pictures at places of `out`, or one picture at all of them."""
    for target, plane in zip(out, pictures, strict=True):
        target[list(places)] = plane
