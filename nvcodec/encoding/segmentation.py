"""Where a video is cut into segments: at cuts between shots, and where a shot is too long for one.

A segment is what one network represents, what is held in memory at a time, and what a killed
encode loses at most. Where it ends follows from the frames and the lengths alone, so that a resumed
encode finds the same segments again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from nvcodec.media import Float32Array, Frames
from nvcodec.video.scene_cuts import AROUND, is_cut, small_copies, still
from nvcodec.video.source import Source

_USUAL = 144  # frames; a network's cost is shared by as many frames as its quality allows
_LEAST_USUAL = 24
_STILL_TIMES = 4  # so many times the usual length may a still shot have
_LEAST = 8  # frames on either side of a cut that is worth a network of its own
_MEMORY = 256 << 20  # bytes of 8-bit samples
_BATCH = 8  # frames read at a time


def default_length(width: int, height: int) -> int:
    """Frames of a segment: 144, fewer where they would not fit in 256 MiB, but 24 at least.

    A fit holds them about twice: as read and as the model sees them; and a third of the next.

    Args:
        width: Picture width, samples.
        height: Picture height, samples.
    """
    return max(_LEAST_USUAL, min(_USUAL, _fitting(width, height)))


def longest_still(width: int, height: int, usual: int) -> int:
    """Frames that a segment may have while next to nothing moves: four times as many as others.

    As long as they fit in 256 MiB.

    Args:
        width: Picture width, samples.
        height: Picture height, samples.
        usual: Frames of other segments at most.
    """
    return max(usual, min(_STILL_TIMES * usual, _fitting(width, height)))


def _fitting(width: int, height: int) -> int:
    return _MEMORY // (width * height * 3 // 2)


def segments(
    source: Source, length: int, longest: int | None = None
) -> Iterator[tuple[Frames, bool]]:
    """Cut a source into segments.

    A segment ends at a cut (see `nvcodec.video.scene_cuts`) that has at least 8 frames on either side, or
    `length` where that is less; else when it is full. What is then left of the shot, or of the
    video, joins it if it is a quarter of `length` or less.

    Args:
        source: Frames not read yet.
        length: Frames of a full segment.
        longest: Frames of one that goes on because its picture stands still; `length` if None.

    Yields:
        Consecutive frames, at least one, and whether a shot begins with them.
    """
    reading = _Reading(source)
    begins = True
    while size := _next_size(reading, length, max(longest or length, length)):
        yield reading.take(size), begins
        begins = reading.holds(1) and reading.cut_at(0)


class _Reading:
    """The frames that are read but not given away yet, and small copies of them."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._pieces: deque[Frames] = deque()
        self._held = 0
        self._ended = False
        # Of the frames held, after those of up to `AROUND` frames given away before.
        self._copies: list[Float32Array] = []

    def holds(self, count: int) -> bool:
        """Read until so many frames are held; False if the video ends before."""
        while self._held < count and not self._ended:
            piece = self._source.read(_BATCH)
            self._ended = len(piece) < _BATCH
            if len(piece):
                self._pieces.append(piece)
                self._copies += list(small_copies(piece.y))
                self._held += len(piece)
        return self._held >= count

    def cut_at(self, number: int) -> bool:
        """Whether a shot begins with a frame held, counted from 0; reads a little beyond it."""
        self.holds(number + AROUND)
        place = len(self._copies) - self._held + number
        before = self._copies[max(place - AROUND, 0) : place]
        return bool(before) and is_cut(before, self._copies[place : place + AROUND])

    def still_at(self, number: int) -> bool:
        """Whether a frame held is still what the first one shows."""
        first = len(self._copies) - self._held
        return still(self._copies[first], self._copies[first + number])

    def take(self, count: int) -> Frames:
        """Give the first frames away; nothing of them but a few small copies is kept."""
        first = self._pieces[0]
        taken = Frames(
            y=np.empty((count, *first.y.shape[1:]), np.uint8),
            u=np.empty((count, *first.u.shape[1:]), np.uint8),
            v=np.empty((count, *first.v.shape[1:]), np.uint8),
            pts=np.empty(count, np.int64),
            durations=np.empty(count, np.int64),
            valid_mask=None
            if first.valid_mask is None
            else np.empty((count, *first.y.shape[1:]), np.bool_),
        )
        done = 0
        while done < count:
            # Piece after piece is let go of, so that no two whole segments are in memory.
            piece = self._pieces.popleft()
            part = _part(piece, 0, count - done)
            if len(part) < len(piece):
                self._pieces.appendleft(_part(piece, len(part), len(piece)))
            place = slice(done, done + len(part))
            taken.y[place], taken.u[place], taken.v[place] = part.y, part.u, part.v
            taken.pts[place], taken.durations[place] = part.pts, part.durations
            if taken.valid_mask is not None and part.valid_mask is not None:
                taken.valid_mask[place] = part.valid_mask
            done += len(part)
        self._held -= count
        del self._copies[: max(len(self._copies) - self._held - AROUND, 0)]
        if taken.valid_mask is not None and taken.valid_mask.all():
            return replace(taken, valid_mask=None)
        return taken


def _next_size(reading: _Reading, length: int, longest: int) -> int:
    """Frames of the next segment, 0 at the end of the video."""
    least = min(_LEAST, length)

    def ends_at(size: int) -> bool:
        if not reading.holds(size + 1):
            return True
        return size >= least and reading.holds(size + least) and reading.cut_at(size)

    size = 0
    while not ends_at(size):
        if size >= length and not (size < longest and reading.still_at(size)):
            break
        size += 1
    else:
        return size
    for more in range(1, length // 4 + 1):
        if ends_at(size + more):
            return size + more
    return size


def _part(frames: Frames, start: int, stop: int) -> Frames:
    return Frames(
        y=frames.y[start:stop],
        u=frames.u[start:stop],
        v=frames.v[start:stop],
        pts=frames.pts[start:stop],
        durations=frames.durations[start:stop],
        valid_mask=None if frames.valid_mask is None else frames.valid_mask[start:stop],
    )
