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
    """Frames of a segment: 144, fewer where they would not fit in 256 MiB, but 24 at least.

    A fit holds them about three times: as read, as the model sees them, and while the next are read.

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
        Consecutive frames: `length` of them, except that what is left at the end joins the last
        segment if it is a quarter of one or less.
    """
    # One frame more than may join tells whether there is enough for another segment.
    enough = min(length // 4 + 1, length)
    ahead = source.read(enough)
    while len(ahead):
        held = _joined(ahead, source.read(length - len(ahead))) if len(ahead) < length else ahead
        ahead = source.read(enough)
        if len(ahead) < enough:
            yield _joined(held, ahead)
            return
        yield held
        del held  # or it would stay in memory while the next is read


def _joined(first: Frames, second: Frames) -> Frames:
    if not len(second):
        return first
    return Frames(
        y=np.concatenate([first.y, second.y]),
        u=np.concatenate([first.u, second.u]),
        v=np.concatenate([first.v, second.v]),
        pts=np.concatenate([first.pts, second.pts]),
        durations=np.concatenate([first.durations, second.durations]),
    )
