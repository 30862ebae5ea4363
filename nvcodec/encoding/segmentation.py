"""Segmentation: splits a video into segments, at scene cuts and where a shot is too long.

One network represents one segment. A segment is also the unit that is held in memory, and the most
that a killed encode loses. The ends of segments follow from the frames and the length limits alone,
so a resumed encode finds the same segments again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from nvcodec.media import Float32Array, Frames
from nvcodec.video.scene_cuts import CONTEXT_PICTURES, is_cut, small_copies, still
from nvcodec.video.sources.source import Source

# Frames of a segment. More frames share the bits of a network, but cost quality.
_USUAL_LENGTH = 144
_LEAST_USUAL_LENGTH = 24
_STILL_MULTIPLE = 4  # largest length of a still segment, as a multiple of the usual length
_LEAST_LENGTH = 8  # frames on either side of a scene cut that starts a new segment
_MEMORY = 256 << 20  # bytes of 8-bit samples
_BATCH = 8  # frames read at a time


def default_length(width: int, height: int) -> int:
    """Return the default length of a segment in frames.

    It is 144 frames, fewer if they do not fit in 256 MiB, but at least 24. An encode holds the
    frames about twice, as they were read and as the model sees them, and a third of the next
    segment.

    Args:
        width: Frame width in samples.
        height: Frame height in samples.
    """
    return max(_LEAST_USUAL_LENGTH, min(_USUAL_LENGTH, _frames_in_memory(width, height)))


def longest_still(width: int, height: int, usual: int) -> int:
    """Return the largest length in frames of a segment without motion.

    It is four times the usual length, if so many frames fit in 256 MiB.

    Args:
        width: Frame width in samples.
        height: Frame height in samples.
        usual: Largest length of other segments in frames.
    """
    return max(usual, min(_STILL_MULTIPLE * usual, _frames_in_memory(width, height)))


def _frames_in_memory(width: int, height: int) -> int:
    """Return the number of 4:2:0 frames that fit in the memory of a segment."""
    return _MEMORY // (width * height * 3 // 2)


def segments(
    source: Source, length: int, longest: int | None = None
) -> Iterator[tuple[Frames, bool]]:
    """Split a source into segments.

    A segment ends at a scene cut (see `nvcodec.video.scene_cuts`) with at least 8 frames on either
    side (`length` frames, if that is less), or else when it is full. If the rest of the shot or of
    the video is a quarter of `length` or less, it is added to the full segment.

    Args:
        source: Source to read from its present position.
        length: Number of frames of a full segment.
        longest: Largest number of frames of a segment without motion; `length` if None.

    Yields:
        Consecutive frames, at least one, and whether a shot begins with them.
    """
    buffer = _FrameBuffer(source)
    shot_begins = True
    while size := _next_size(buffer, length, max(longest or length, length)):
        yield buffer.take(size), shot_begins
        shot_begins = buffer.fill(1) and buffer.cut_at(0)


class _FrameBuffer:
    """The frames that are read and not yet part of a segment, with small copies of them.

    Args:
        source: Source to read from.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._pieces: deque[Frames] = deque()
        self._held = 0
        self._ended = False
        # Copies of up to `CONTEXT_PICTURES` frames that were taken last, then of the frames held.
        self._copies: list[Float32Array] = []

    def fill(self, count: int) -> bool:
        """Read until so many frames are held; return False if the video ends before that."""
        while self._held < count and not self._ended:
            piece = self._source.read(_BATCH)
            self._ended = len(piece) < _BATCH
            if len(piece):
                self._pieces.append(piece)
                self._copies += list(small_copies(piece.y))
                self._held += len(piece)
        return self._held >= count

    def cut_at(self, number: int) -> bool:
        """Return whether a shot begins with a frame of the buffer.

        Args:
            number: Position of the frame in the buffer, from 0. A few frames after it are read.
        """
        self.fill(number + CONTEXT_PICTURES)
        place = len(self._copies) - self._held + number
        before = self._copies[max(place - CONTEXT_PICTURES, 0) : place]
        return bool(before) and is_cut(before, self._copies[place : place + CONTEXT_PICTURES])

    def still_at(self, number: int) -> bool:
        """Return whether the frame at a position shows the same picture as the first frame."""
        first = len(self._copies) - self._held
        return still(self._copies[first], self._copies[first + number])

    def take(self, count: int) -> Frames:
        """Remove so many frames from the beginning of the buffer, and return them."""
        first = self._pieces[0]
        segment = Frames(
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
            # Each piece is freed before the next is copied, so memory holds no second whole
            # segment.
            piece = self._pieces.popleft()
            part = _part(piece, 0, count - done)
            if len(part) < len(piece):
                self._pieces.appendleft(_part(piece, len(part), len(piece)))
            place = slice(done, done + len(part))
            segment.y[place], segment.u[place], segment.v[place] = part.y, part.u, part.v
            segment.pts[place], segment.durations[place] = part.pts, part.durations
            if segment.valid_mask is not None and part.valid_mask is not None:
                segment.valid_mask[place] = part.valid_mask
            done += len(part)
        self._held -= count
        del self._copies[: max(len(self._copies) - self._held - CONTEXT_PICTURES, 0)]
        if segment.valid_mask is not None and segment.valid_mask.all():
            return replace(segment, valid_mask=None)
        return segment


def _next_size(buffer: _FrameBuffer, length: int, longest: int) -> int:
    """Return the number of frames of the next segment; 0 at the end of the video.

    Args:
        buffer: Buffer that begins with the segment.
        length: Number of frames of a full segment.
        longest: Largest number of frames of a segment without motion.
    """
    least = min(_LEAST_LENGTH, length)

    def ends_at(size: int) -> bool:
        if not buffer.fill(size + 1):
            return True
        return size >= least and buffer.fill(size + least) and buffer.cut_at(size)

    size = 0
    while not ends_at(size):
        if size >= length and not (size < longest and buffer.still_at(size)):
            break
        size += 1
    else:
        return size
    for extra in range(1, length // 4 + 1):
        if ends_at(size + extra):
            return size + extra
    return size


def _part(frames: Frames, start: int, stop: int) -> Frames:
    """Return the frames from `start` to `stop`, without a copy."""
    return Frames(
        y=frames.y[start:stop],
        u=frames.u[start:stop],
        v=frames.v[start:stop],
        pts=frames.pts[start:stop],
        durations=frames.durations[start:stop],
        valid_mask=None if frames.valid_mask is None else frames.valid_mask[start:stop],
    )
