"""Matches the frames of a compared video with those of its source, by time or by order."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from nvcodec.media import Frames, VideoInfo
from nvcodec.video.sources.source import Source

_BATCH_BYTES = 32 << 20


class SourceMatcher:
    """Reads the source in step with the compared video, and matches their frames.

    Args:
        source: The source, at its first frame.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._skipped = 0
        self._pending: Frames | None = None
        # Containers round times to their clocks, by less than a third of a frame.
        self._tolerance = 1 / source.info.frame_rate / 3

    def match(self, batch: Frames, timed: bool, base: Fraction) -> tuple[Frames, Frames]:
        """Match frames of the compared video with frames of the source.

        Args:
            batch: Next frames of the compared video.
            timed: Match by time; False to match by order.
            base: Seconds per tick of the times in `batch`.

        Returns:
            The frames of the batch that have a counterpart in the source, and their counterparts.
        """
        if not timed:
            part = self._source.read(len(batch))
            return _select(batch, list(range(len(part)))), part
        places: list[int] = []
        counterparts: list[Frames] = []
        for place, ticks in enumerate(batch.pts.tolist()):
            time = ticks * base
            while (frame := self._next()) is not None and self._time(
                frame
            ) < time - self._tolerance:
                self._skipped += 1
            if frame is not None and self._time(frame) > time + self._tolerance:
                self._pending = frame  # it may be the counterpart of the next frame
            elif frame is not None:
                places.append(place)
                counterparts.append(frame)
        return _select(batch, places), _concatenate(counterparts, batch)

    def _next(self) -> Frames | None:
        frame, self._pending = self._pending, None
        if frame is None:
            frame = self._source.read(1)
        return frame if len(frame) else None

    def _time(self, frame: Frames) -> Fraction:
        return int(frame.pts[0]) * self._source.info.time_base

    def count_unmatched(self) -> int:
        """Read the rest of the source; return how many of its frames had no counterpart."""
        count = self._skipped + (self._pending is not None)
        while len(part := self._source.read(batch_size(self._source.info))):
            count += len(part)
        return count


def batch_size(info: VideoInfo) -> int:
    """Return how many frames of a video to compare at a time: at most 32, and 32 MiB."""
    return max(1, min(32, _BATCH_BYTES // (info.width * info.height * 3 // 2)))


def _select(frames: Frames, places: list[int]) -> Frames:
    return Frames(
        y=frames.y[places],
        u=frames.u[places],
        v=frames.v[places],
        pts=frames.pts[places],
        durations=frames.durations[places],
    )


def _concatenate(parts: list[Frames], like: Frames) -> Frames:
    """Concatenate frames; without any, return no frames of the size of `like`."""
    if not parts:
        return _select(like, [])
    return Frames(
        y=np.concatenate([part.y for part in parts]),
        u=np.concatenate([part.u for part in parts]),
        v=np.concatenate([part.v for part in parts]),
        pts=np.concatenate([part.pts for part in parts]),
        durations=np.concatenate([part.durations for part in parts]),
    )
