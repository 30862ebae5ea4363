"""Where a video is cut: segments of bounded length, none of them a stub.

A segment is what one network represents, what is held in memory at a time, and what a killed
encode loses at most.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nvcodec.media import Frames
from nvcodec.video.source import Source

_LONGEST = 144  # frames; a network's cost is shared by as many frames as its quality allows
_SHORTEST = 24
_MEMORY = 256 << 20  # bytes of 8-bit samples


def default_length(width: int, height: int) -> int:
    """Most frames of a segment: 144, fewer where they would not fit in 256 MiB.

    Args:
        width: Picture width, samples.
        height: Picture height, samples.
    """
    return max(_SHORTEST, min(_LONGEST, _MEMORY // (width * height * 3 // 2)))


def segments(source: Source, length: int) -> Iterator[Frames]:
    """Cut a source into segments.

    Args:
        source: Frames not read yet.
        length: Frames per segment.

    Yields:
        Consecutive frames: `length` of them, except at the end, where what is left after a segment
        is shared out so that the last two are about equal, or joins the last one if it is less
        than a quarter of a segment.
    """
    held = source.read(length)
    while len(held):
        following = source.read(length)
        if 0 < len(following) < length:
            both = _joined(held, following)
            if len(following) <= length // 4:
                yield both
            else:
                half = -(-len(both) // 2)
                yield _part(both, 0, half)
                yield _part(both, half, len(both))
            return
        yield held
        held = following


def _joined(first: Frames, second: Frames) -> Frames:
    return Frames(
        y=np.concatenate([first.y, second.y]),
        u=np.concatenate([first.u, second.u]),
        v=np.concatenate([first.v, second.v]),
        pts=np.concatenate([first.pts, second.pts]),
        durations=np.concatenate([first.durations, second.durations]),
    )


def _part(frames: Frames, start: int, stop: int) -> Frames:
    return Frames(
        y=frames.y[start:stop],
        u=frames.u[start:stop],
        v=frames.v[start:stop],
        pts=frames.pts[start:stop],
        durations=frames.durations[start:stop],
    )
