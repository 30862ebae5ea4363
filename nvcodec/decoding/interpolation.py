"""Pictures at any moment of a video: between frames, between segments, and over what is damaged.

Inside a segment its family knows what lies between two frames. Between the last frame of a segment
and the first of the next one they are cross-faded; where a new shot begins there, where frames are
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
from nvcodec.errors import BitstreamError
from nvcodec.media import Planes
from nvcodec.reconstruction.resampling import blended, resampled
from nvcodec.reconstruction.segment_decoder import SegmentDecoder
from nvcodec.video.scene_cuts import is_cut, small_copies


class FrameInterpolator:
    """The moments of a file.

    Args:
        reader: The file.
        opened: Opens a segment.
        warn: Takes a line about frames that cannot be decoded.
        device: Where to compute.
    """

    def __init__(
        self,
        reader: Reader,
        opened: Callable[[int], SegmentDecoder],
        warn: Callable[[str], None],
        device: torch.device,
    ) -> None:
        self._reader, self._opened, self._warn, self._device = reader, opened, warn, device
        self._own = (reader.header.video.height, reader.header.video.width)
        self._broken: dict[int, BitstreamError] = {}

    def planes(self, times: Sequence[float | Fraction], size: tuple[int, int]) -> Planes:
        """Pictures at moments.

        Args:
            times: Seconds on the video's clock, B of them in any order.
            size: Height and width.

        Returns:
            B pictures of that size.

        Raises:
            BitstreamError: If there is nothing to show.
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
                self._note(segment, error)
                _put(out, places, self._held(segment, size, error))
                continue
            # Later, when the first frame of the next segment has been decoded and is still kept.
            self._fade(beyond, size, out)
            beyond = [(segment, after)] if after else []
        self._fade(beyond, size, out)
        return out

    def _inside(
        self, segment: int, times: dict[int, float | Fraction], size: tuple[int, int], out: Planes
    ) -> dict[int, float]:
        """Fill the places of moments inside a segment; the others, and how far beyond they are."""
        pictures = self._picture_source(segment)
        ticks = self._line(segment)
        last = self._reader.segments[segment].frames - 1
        positions = {
            place: position(Fraction(time) / self._reader.header.video.time_base, ticks)
            for place, time in times.items()
        }
        inside = [place for place, where in positions.items() if where <= last]
        batch = min(batch_of(size), batch_of(self._own))
        for start in range(0, len(inside), batch):
            some = inside[start : start + batch]
            _put(out, some, pictures.at([positions[place] for place in some], size))
        return {place: where - last for place, where in positions.items() if where > last}

    def _line(self, segment: int) -> list[int]:
        """When the frames of a segment are shown, and the first of the next if it follows."""
        ticks = list(self._reader.segment(segment).pts)
        entries = self._reader.segments
        if segment + 1 < len(entries):
            following = entries[segment + 1]
            if following.first_frame == entries[segment].stop_frame and following.start > ticks[-1]:
                ticks.append(following.start)
        return ticks

    def _fade(
        self, beyond: Sequence[tuple[int, dict[int, float]]], size: tuple[int, int], out: Planes
    ) -> None:
        """Fill the places of moments between a segment's last frame and the next one's first."""
        for segment, shares in beyond:
            last = self._reader.segments[segment].frames - 1
            try:
                before = self._picture_source(segment).at([last], self._own)
            except BitstreamError as error:
                self._note(segment, error)
                _put(out, list(shares), self._held(segment, size, error))
                continue
            after, whole = before, False
            try:
                after = self._picture_source(segment + 1).at([0], self._own)
                whole = is_cut(list(small_copies(before[0])), list(small_copies(after[0])))
            except BitstreamError as error:
                self._note(segment + 1, error)
            for place, share in shares.items():
                made = blended(before, after, floor(share) if whole else share)
                _put(out, [place], resampled(made, size, self._device))

    def _held(self, segment: int, size: tuple[int, int], error: BitstreamError) -> Planes:
        """What is shown instead of a segment: the last frame before it, or the first after it."""
        count = len(self._reader.segments)
        for other in (*range(segment - 1, -1, -1), *range(segment + 1, count)):
            last = self._reader.segments[other].frames - 1
            try:
                return self._picture_source(other).at([last if other < segment else 0], size)
            except BitstreamError as found:
                self._note(other, found)
        raise error

    def _picture_source(self, segment: int) -> SegmentDecoder:
        if segment in self._broken:
            raise self._broken[segment]
        return self._opened(segment)

    def _note(self, segment: int, error: BitstreamError) -> None:
        """Remember what is not to be tried again."""
        self._broken[segment] = error
        entry = self._reader.segments[segment]
        self._warn(
            f"frames {entry.first_frame}..{entry.stop_frame - 1} are not decoded, the picture "
            f"nearest to them is held: {error}"
        )


def position(tick: Fraction, ticks: Sequence[int]) -> float:
    """A moment in frames, by when frames are shown.

    Times were rounded to ticks: half a tick from a frame, if that is little on the way to the next
    one, a moment is that frame.

    Args:
        tick: The moment, in ticks.
        ticks: When each frame is shown, strictly increasing.

    Returns:
        From 0 to the number of frames less 1; fractions lie between frames.
    """
    place = bisect_right(ticks, tick) - 1
    if not 0 <= place < len(ticks) - 1:
        return float(max(place, 0))
    gap = ticks[place + 1] - ticks[place]
    near, passed = min(Fraction(1, 2), Fraction(gap, 16)), tick - ticks[place]
    if passed <= near:
        return float(place)
    return float(place + (1 if gap - passed <= near else passed / gap))


def _put(out: Planes, places: Sequence[int], made: Planes) -> None:
    """Store pictures, or one picture everywhere."""
    for target, plane in zip(out, made, strict=True):
        target[list(places)] = plane
