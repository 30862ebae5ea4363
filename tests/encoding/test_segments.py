"""Segmentation: where segments end, and how many frames are held in memory."""

from __future__ import annotations

import weakref
from fractions import Fraction

import numpy as np
import pytest

from nvcodec.encoding.segmentation import default_length, longest_still, segments
from nvcodec.media import Frames, VideoInfo


class FakeSource:
    """A source of numbered frames, which counts those that are still in memory.

    Args:
        total: Number of frames.
        scenes: Number of the scene that each frame shows; None for flat frames.
        drift: Motion in samples per frame.
    """

    def __init__(self, total: int, scenes: list[int] | None = None, drift: int = 2) -> None:
        self.total, self.given = total, 0
        self.scenes, self.drift = scenes, drift
        self._parts: list[weakref.ref[np.ndarray]] = []
        self.most_alive = 0
        base = Fraction(1, 25)
        self.info = VideoInfo(width=4, height=2, time_base=base, frame_rate=1 / base)

    def read(self, count: int) -> Frames:
        count = min(count, self.total - self.given)
        numbers = np.arange(self.given, self.given + count)
        self.given += count
        y = np.broadcast_to(numbers[:, None, None], (count, 2, 4)).astype(np.uint8)
        if self.scenes is not None and count:
            y = np.stack([self._picture(t) for t in numbers])
        self._parts.append(weakref.ref(y))
        alive = [part() for part in self._parts]
        self.most_alive = max(self.most_alive, sum(len(y) for y in alive if y is not None))
        half = np.zeros((count, 1, 2), np.uint8)
        return Frames(y=y, u=half, v=half, pts=numbers, durations=np.ones(count, np.int64))

    def _picture(self, t: int) -> np.ndarray:
        wide = np.random.default_rng(self.scenes[t]).integers(0, 256, (6, 50), np.uint8)
        wide = np.kron(wide, np.ones((8, 8), np.uint8))
        left = self.drift * t % 336
        return wide[:, left : left + 64]


@pytest.mark.parametrize(
    ("total", "length", "cuts"),
    [
        (0, 4, []),
        (1, 4, [1]),
        (4, 4, [4]),
        (5, 4, [5]),  # a quarter or less is added to the last segment
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
    parts = [part for part, _ in segments(FakeSource(total), length)]
    assert [len(part) for part in parts] == cuts
    numbers = [int(tick) for part in parts for tick in part.pts]
    assert numbers == list(range(total))
    assert [int(value) for part in parts for value in part.y[:, 0, 0]] == numbers
    for part in parts:
        assert len(part.u) == len(part.v) == len(part.durations) == len(part)


def test_memory_is_bounded():
    source = FakeSource(400)
    for _ in segments(source, 40):
        pass
    # One segment, a quarter of a segment, and the frames of three reads.
    assert source.most_alive <= 40 + 10 + 3 * 8


def shots(*lengths: int) -> list[int]:
    """Return the scene number of every frame for shots of these lengths."""
    return [number for number, length in enumerate(lengths) for _ in range(length)]


@pytest.mark.parametrize(
    ("scenes", "length", "expected"),
    [
        (shots(20, 30, 10), 40, [20, 30, 10]),
        (shots(44, 30), 40, [44, 30]),  # a quarter or less of a shot is added
        (shots(60, 30), 40, [40, 20, 30]),
        (shots(20, 7, 30), 40, [20, 37]),  # too short for a segment of its own
        (shots(20, 30, 7), 40, [20, 37]),
        (shots(5, 40), 40, [45]),
        (shots(5, 60), 40, [40, 25]),
        (shots(2, 2, 2, 2), 2, [2, 2, 2, 2]),
        (shots(9, 9), 100, [9, 9]),
    ],
)
def test_segments_end_at_cuts(scenes, length, expected):
    found = segments(FakeSource(len(scenes), scenes), length)
    assert [len(part) for part, _ in found] == expected


@pytest.mark.parametrize(
    ("scenes", "expected"),
    [
        (shots(20, 30, 10), [True, True, True]),
        (shots(60, 30), [True, False, True]),
        (shots(100), [True, False, False]),
        (shots(40, 30), [True, True]),  # the full segment ends at a cut
        (shots(20, 7, 30), [True, True]),
    ],
)
def test_a_segment_tells_whether_a_shot_begins_with_it(scenes, expected):
    assert [begins for _, begins in segments(FakeSource(len(scenes), scenes), 40)] == expected


def test_still_shots_may_be_longer():
    def lengths(drift: int, *limits: int) -> list[int]:
        source = FakeSource(120, shots(100, 20), drift)
        return [len(part) for part, _ in segments(source, *limits)]

    assert lengths(0, 30) == [30, 30, 30, 10, 20]
    assert lengths(0, 30, 80) == [80, 20, 20]
    assert lengths(0, 30, 200) == [100, 20]
    assert lengths(1, 30, 200) == [30, 30, 30, 10, 20]


def test_default_length():
    assert default_length(640, 360) == 144
    assert default_length(1280, 720) == 144
    assert 24 <= default_length(1920, 1080) < 144
    assert default_length(7680, 4320) == 24
    assert longest_still(640, 360, 144) == 4 * 144
    assert longest_still(1920, 1080, 80) == default_length(1920, 1080) == 86
    assert longest_still(7680, 4320, 24) == 24
