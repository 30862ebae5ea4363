"""Resampling and cross-fades: positions of samples, aliasing, and no frame decoded twice."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nvcodec.reconstruction.resampling import CrossFade, blended, decode_times, resampled

CPU = torch.device("cpu")


def ramp(width: int, height: int, picture_size: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Return a picture whose samples encode their position in a picture of another size."""

    def levels(columns, rows):
        x, y = (columns + 0.5) * picture_size[0] / width, (rows + 0.5) * picture_size[1] / height
        return np.rint(20 + 1.43 * x[None, None, :] + 1.17 * y[None, :, None]).astype(np.uint8)

    half = np.arange((width + 1) // 2), np.arange((height + 1) // 2)
    chroma = levels(2 * half[0], 2 * half[1] + 0.5)
    return levels(np.arange(width), np.arange(height)), chroma, chroma


@pytest.mark.parametrize("size", [(192, 128), (384, 256), (231, 37), (48, 64), (47, 33)])
def test_luma_and_chroma_keep_their_positions(size):
    source, expected = ramp(96, 64, (96, 64)), ramp(*size, (96, 64))
    result = resampled(source, size[::-1], CPU)
    for plane, wanted in zip(result, expected, strict=True):
        assert plane.dtype == np.uint8 and plane.shape == wanted.shape
        # The border is left out, because its samples are repeated.
        rows, columns = plane.shape[1] // 4, plane.shape[2] // 4
        inner = np.s_[:, rows:-rows, columns:-columns]
        assert np.abs(plane[inner].astype(int) - wanted[inner]).max() <= 1
        assert np.abs(np.mean(plane[inner].astype(int) - wanted[inner])) < 0.2


def test_same_size_returns_the_pictures_themselves():
    source = ramp(48, 32, (48, 32))
    assert resampled(source, (32, 48), CPU) is source


def test_fine_detail_does_not_alias():
    luma = np.full((1, 96, 96), 64, np.uint8)
    luma[:, :, ::2] = 192
    half = np.full((1, 48, 48), 128, np.uint8)
    small, *_ = resampled((luma, half, half), (38, 38), CPU)
    assert np.abs(small[:, 4:-4, 4:-4].astype(int) - 128).max() <= 3


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1)])
def test_tiny_pictures(size):
    grey = tuple(np.full(shape, 77, np.uint8) for shape in ((2, 3, 3), (2, 2, 2), (2, 2, 2)))
    y, u, v = resampled(grey, size, CPU)
    assert y.shape == (2, *size) and u.shape == (2, (size[0] + 1) // 2, (size[1] + 1) // 2)
    assert {int(level) for plane in (y, u, v) for level in plane.ravel()} == {77}


def test_blending():
    dark, light = (tuple(np.full((1, 2, 2), level, np.uint8) for _ in "yuv") for level in (0, 255))
    shown = [int(blended(dark, light, share)[0][0, 0, 0]) for share in (0, 0.25, 0.5, 0.75, 1)]
    assert shown == [0, 64, 128, 191, 255]


class NumberedFrames:
    """Decodes frame n to grey of value 10 n, and records the requested frames."""

    def __init__(self) -> None:
        self.requested: list[int] = []

    def __call__(self, frames):
        self.requested += frames
        levels = np.array([10 * frame for frame in frames], np.uint8)[:, None, None]
        return (np.tile(levels, (1, 2, 2)),) * 3


def test_a_cross_fade_decodes_every_frame_once():
    decode = NumberedFrames()
    fade = CrossFade(decode, 2)
    times = [n / 4 for n in range(21)]
    shown = [level for n in range(0, 21, 3) for level in fade(times[n : n + 3])[0][:, 0, 0]]
    assert shown == pytest.approx([10 * time for time in times], abs=0.5)
    assert decode.requested == list(range(6))


def test_pictures_are_in_the_order_of_the_times():
    decode = NumberedFrames()
    levels, *_ = decode_times(
        [2.5, 0.0, 1.5, 3.0], decode, lambda times: decode([9 for _ in times])
    )
    assert levels[:, 0, 0].tolist() == [90, 0, 90, 30]
