"""Tests of the conversion between 4:2:0 and RGB."""

from __future__ import annotations

import numpy as np
import pytest

from nvcodec.media import Colour
from nvcodec.video.colour import matrix_for, rgb, yuv420


def flat(colour, size=(6, 8)):
    return np.broadcast_to(np.array(colour, np.uint8), (1, *size, 3)).copy()


# Values from the definitions: BT.709, BT.601 and BT.2020, 8-bit, limited range.
@pytest.mark.parametrize(
    ("matrix", "colour", "expected"),
    [
        (1, (255, 255, 255), (235, 128, 128)),
        (1, (0, 0, 0), (16, 128, 128)),
        (1, (255, 0, 0), (63, 102, 240)),
        (1, (0, 255, 0), (173, 42, 26)),
        (1, (0, 0, 255), (32, 240, 118)),
        (6, (255, 0, 0), (81, 90, 240)),
        (5, (0, 255, 0), (145, 54, 34)),
        (6, (0, 0, 255), (41, 240, 110)),
        (9, (255, 0, 0), (74, 97, 240)),
    ],
)
def test_limited_range_values(matrix, colour, expected):
    recorded = Colour(matrix=matrix)
    y, u, v = yuv420(flat(colour), recorded)
    assert (y[0, 0, 0], u[0, 0, 0], v[0, 0, 0]) == expected
    back = rgb(y, u, v, recorded).astype(int)
    assert np.abs(back - np.array(colour)).max() <= 2


def test_full_range_gray_is_exact():
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    neutral = np.full((1, 8, 8), 128, np.uint8)
    out = rgb(ramp, neutral, neutral, Colour(matrix=6, full_range=True))
    assert (out == ramp[..., None]).all()


def test_limited_range_stretches_luma():
    y = np.array([[[16, 235], [126, 16]]], np.uint8)
    neutral = np.full((1, 1, 1), 128, np.uint8)
    out = rgb(y, neutral, neutral, Colour(matrix=1))
    assert out[0, :, :, 0].tolist() == [[0, 255], [128, 0]]


def test_chroma_is_sited_left_and_between_rows():
    u = np.array([[[100, 140]]], np.uint8)
    y = np.full((1, 2, 4), 128, np.uint8)
    v = np.full((1, 1, 2), 128, np.uint8)
    blue = rgb(y, u, v, Colour(matrix=6, full_range=True))[0, 0, :, 2].astype(float)
    assert np.allclose((blue - 128) / 1.772 + 128, [100, 120, 140, 140], atol=0.6)


@pytest.mark.parametrize("floating", [False, True])
@pytest.mark.parametrize(("channel", "plane"), [(2, 1), (0, 2)])
def test_rgb_becomes_chroma_sited_left_and_between_rows(channel, plane, floating):
    """On a ramp a sample shows its position: blue alone makes U, and red alone V, half its value."""
    ramp = np.broadcast_to(16 * np.arange(16), (16, 16))

    def chroma(values):
        picture = np.zeros((1, 16, 16, 3), np.uint8)
        picture[0, :, :, channel] = values
        scaled = picture / np.float32(255) if floating else picture
        return yuv420(scaled, Colour(matrix=6, full_range=True))[plane][0]

    # Chroma sited at the centre would be 4 more. The first column includes the repeated border.
    assert chroma(ramp)[:, 1:].tolist() == [[128 + 8 * x for x in range(2, 16, 2)]] * 8
    assert chroma(ramp.T).T.tolist() == [[128 + 8 * y + 4 for y in range(0, 16, 2)]] * 8


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", [0, 1, 4, 6, 7, 9, 2])
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (8, 6), (2, 1)])
def test_smooth_pictures_survive_the_round_trip(matrix, full, size):
    h, w = size
    x, y = np.meshgrid(np.arange(w), np.arange(h))
    picture = np.stack([80 + 2 * x, 90 + 3 * y, 100 + x + y], -1).astype(np.uint8)[None]
    colour = Colour(matrix=matrix, full_range=full)
    planes = yuv420(picture, colour)
    assert planes[1].shape == (1, (h + 1) // 2, (w + 1) // 2)
    assert np.abs(rgb(*planes, colour).astype(int) - picture).max() <= 8


def test_float_and_bytes_agree():
    picture = np.random.default_rng(1).integers(0, 256, (2, 6, 6, 3), dtype=np.uint8)
    exact = yuv420(picture, Colour(matrix=1))
    floating = yuv420((picture / 255).astype(np.float32), Colour(matrix=1))
    for a, b in zip(exact, floating, strict=True):
        assert np.abs(a.astype(int) - b).max() <= 1


def test_unspecified_matrix_follows_the_size():
    assert matrix_for(Colour(), 720, 576) == 6
    assert matrix_for(Colour(), 1280, 536) == 1
    assert matrix_for(Colour(), 1080, 1920) == 1
    assert matrix_for(Colour(matrix=9), 16, 16) == 9
    assert matrix_for(Colour(matrix=200), 16, 16) == 6
