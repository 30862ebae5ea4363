"""Where a video is cut, and that only a segment or two of it is in memory."""

from __future__ import annotations

import weakref
from fractions import Fraction

import numpy as np
import pytest

from nvcodec.media import Frames, VideoInfo
from nvcodec.segments import default_length, segments


class FakeSource:
    """Numbered frames; counts how many handed out are still alive."""

    def __init__(self, total: int) -> None:
        self.total, self.given = total, 0
        self._parts: list[weakref.ref[np.ndarray]] = []
        self.most_alive = 0
        base = Fraction(1, 25)
        self.info = VideoInfo(width=4, height=2, time_base=base, frame_rate=1 / base)

    def read(self, count: int) -> Frames:
        count = min(count, self.total - self.given)
        numbers = np.arange(self.given, self.given + count)
        self.given += count
        y = np.broadcast_to(numbers[:, None, None], (count, 2, 4)).astype(np.uint8)
        self._parts.append(weakref.ref(y))
        alive = [part() for part in self._parts]
        self.most_alive = max(self.most_alive, sum(len(y) for y in alive if y is not None))
        half = np.zeros((count, 1, 2), np.uint8)
        return Frames(y=y, u=half, v=half, pts=numbers, durations=np.ones(count, np.int64))


@pytest.mark.parametrize(
    ("total", "length", "cuts"),
    [
        (0, 4, []),
        (1, 4, [1]),
        (4, 4, [4]),
        (5, 4, [5]),  # a quarter or less joins the last one
        (6, 4, [4, 2]),
        (7, 4, [4, 3]),
        (8, 4, [4, 4]),
        (12, 4, [4, 4, 4]),
        (13, 4, [4, 4, 5]),
        (14, 4, [4, 4, 4, 2]),
        (3, 1, [1, 1, 1]),
        (23, 10, [10, 10, 3]),
        (22, 10, [10, 12]),
    ],
)
def test_cuts(total, length, cuts):
    parts = list(segments(FakeSource(total), length))
    assert [len(part) for part in parts] == cuts
    numbers = [int(tick) for part in parts for tick in part.pts]
    assert numbers == list(range(total))
    assert [int(value) for part in parts for value in part.y[:, 0, 0]] == numbers
    for part in parts:
        assert len(part.u) == len(part.v) == len(part.durations) == len(part)


def test_memory_is_bounded():
    source = FakeSource(200)
    for _ in segments(source, 5):
        pass
    assert source.most_alive <= 3 * 5


def test_default_length():
    assert default_length(640, 360) == 144
    assert default_length(1280, 720) == 144
    assert 24 <= default_length(1920, 1080) < 144
    assert default_length(7680, 4320) == 24
