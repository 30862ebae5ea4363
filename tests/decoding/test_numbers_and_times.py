"""Frame numbers and times of all types: arrays, tensors, truth values, infinite times, NaN."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

import nvcodec
from nvcodec.errors import ConfigError
from tests.decoding.stress_shared_decoder import STREAMS

MASK = [True, False, False, True, False]


@pytest.fixture(scope="module")
def video():
    """Two segments of three and two frames."""
    with nvcodec.open(STREAMS / "nerv-rgb" / "stream.nvc", device="cpu") as video:
        yield video


@pytest.fixture(scope="module")
def pictures(video) -> np.ndarray:
    return video[:]


@pytest.fixture(scope="module")
def times(video) -> list[Fraction]:
    return [int(tick) * video.info.time_base for tick in video.planes(range(5)).pts]


@pytest.mark.parametrize(
    "mask", [MASK, np.array(MASK), torch.tensor(MASK), [np.bool_(true) for true in MASK]]
)
def test_truth_values_select(video, pictures, mask):
    assert video[mask].shape == (2, *pictures.shape[1:])
    assert (video[mask] == pictures[[0, 3]]).all()
    assert (video.planes(mask).pts == video.planes([0, 3]).pts).all()


@pytest.mark.parametrize("count", [1, 4, 6])
def test_another_number_of_truth_values(video, count):
    for mask in ([True] * count, np.ones(count, bool), torch.ones(count, dtype=torch.bool)):
        with pytest.raises(IndexError, match=f"expected 5 truth values, one each, found {count}"):
            video[mask]


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "int32", "int64"])
def test_integers_of_all_types(video, pictures, kind):
    for make in (
        lambda values: np.array(values, kind),
        lambda values: torch.tensor(values, dtype=getattr(torch, kind)),
    ):
        assert (video[make([4, 0, 4])] == pictures[[4, 0, 4]]).all()
        assert (video[make(3)] == pictures[3]).all()
        assert (video[[make(3), make(1)]] == pictures[[3, 1]]).all()
        assert (video[make(1) : make(4)] == pictures[1:4]).all()
        if kind[0] == "i":
            assert (video[make([-1, 0])] == pictures[[4, 0]]).all()
    assert (video[np.array([4, 0], "uint64")] == pictures[[4, 0]]).all()
    assert (video[range(5)[::-2]] == pictures[::-2]).all()
    assert (video[iter((1, 2))] == pictures[1:3]).all()
    assert video[np.array([], int)].shape == video[[]].shape == (0, *pictures.shape[1:])


@pytest.mark.parametrize(
    "bad",
    [True, np.True_, torch.tensor(True), 1.0, np.float32(1), torch.tensor(1.0), np.array(1.0),
     [1.0], [0, 1.0], np.array([1.0]), torch.tensor([1.0]), torch.tensor([]), [True, 1], "1", b"1",
     ["1"], None, [None], np.array([[1]]), torch.ones(1, 5, dtype=torch.bool), [[1]], Fraction(1)],
    ids=repr,
)  # fmt: skip
def test_other_indices_are_refused(video, bad):
    with pytest.raises(TypeError):
        video[bad]


@pytest.mark.parametrize(
    "bad", [5, [-6], np.uint64(2**63 + 1), np.array([2**64 - 1], np.uint64), 10**30]
)
def test_frames_that_are_not_there(video, bad):
    with pytest.raises(IndexError, match=r"expected numbers in -5\.\.4"):
        video[bad]


KINDS = [float, np.float64, np.float32, np.array, torch.tensor, Fraction, Decimal,
         lambda time: torch.tensor(time, dtype=torch.float64)]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_times_of_all_types(video, pictures, times, kind):
    for number, time in enumerate(times):
        middle = kind(float(time + video.info.time_base / 2))
        assert video.frame_number(middle) == number
        assert (video.frame_at(middle) == pictures[number]).all()
        assert (video.pictures_at([kind(float(time))])[0] == pictures[number]).all()
        # The nearest float may lie before the frame's time, and stands for it.
        if kind not in (Fraction, Decimal):
            assert video.frame_number(kind(float(time))) == number


def test_arrays_and_tensors_of_times(video, pictures, times):
    first, *_, last = seconds = [float(time) for time in times]
    for several in (
        torch.tensor(seconds),
        np.array(seconds, np.float32),
        [first, np.float32(seconds[1]), times[2], torch.tensor(seconds[3]), last],
        iter(times),
    ):
        assert (video.pictures_at(several) == pictures).all()
    ends = video.pictures_at(torch.linspace(first, last, 3))[[0, 2]]
    assert (ends == pictures[[0, 4]]).all()
    assert video.pictures_at(np.array([])).shape == (0, *pictures.shape[1:])
    assert video.pictures_at(torch.linspace(0, 0.5, 3)).shape == (3, *pictures.shape[1:])


@pytest.mark.parametrize("kind", [float, np.float32, Decimal, lambda t: torch.tensor(float(t))])
def test_times_without_end(video, pictures, kind):
    assert video.frame_number(kind("inf")) == 4
    assert video.frame_number(kind("-inf")) == 0
    assert (video.pictures_at([kind("inf"), kind("-inf")]) == pictures[[4, 0]]).all()
    assert video.reader.segment_at(kind("inf")).index == 1
    assert video.frame_number(10**400) == 4
    for use in (video.frame_at, video.frame_number, video.reader.segment_at):
        with pytest.raises(ConfigError, match="NaN"):
            use(kind("nan"))
    with pytest.raises(ConfigError, match="NaN"):
        video.pictures_at([0, kind("nan")])


@pytest.mark.parametrize("bad", ["0.1", None, 1j, [0.1], np.array([0.1]), torch.tensor([0.1, 0.2])])
def test_other_times_are_refused(video, bad):
    with pytest.raises(TypeError):
        video.frame_at(bad)


@pytest.mark.parametrize("bad", [0.1, np.float32(0.1), torch.tensor(0.1), "0.1", None, [[0.1]]])
def test_what_is_not_several_times(video, bad):
    with pytest.raises(TypeError):
        video.pictures_at(bad)
