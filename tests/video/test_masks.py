"""Tests of reading masks and of filling masked pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from nvcodec.video import open_mask, open_source
from nvcodec.video.sources.mask_filling import filled, resized_mask, valid_chroma


def test_a_filling_is_smooth_and_keeps_valid_samples():
    y, x = np.mgrid[:45, :70]
    plane = (40 + x + 2 * y).astype(np.uint8)
    valid = np.ones(plane.shape, bool)
    valid[10:25, 20:41] = False
    valid[30, :] = False
    first, second = (
        filled(np.where(valid, plane, other).astype(np.uint8), valid) for other in (0, 255)
    )
    assert np.array_equal(first, second)
    assert np.array_equal(first[valid], plane[valid])
    assert np.abs(first.astype(int) - plane).max() < 12


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 1), (33, 2)])
def test_fillings_of_small_planes(shape):
    valid = np.zeros(shape, bool)
    plane = np.full(shape, 77, np.uint8)
    assert (filled(plane, valid) == 128).all()
    valid[0, 0] = True
    assert (filled(plane, valid) == 77).all()


def test_chroma_is_valid_where_every_filter_reads_valid_pixels():
    valid = np.ones((2, 9, 12), bool)
    valid[1, 4, 5] = False
    expected = np.ones((2, 5, 6), bool)
    # Rows 3 to 6 and 1 to 4 reach row 4, columns 3 to 6 and 5 to 8 column 5.
    expected[1, 1:3, 2:4] = False
    assert np.array_equal(valid_chroma(valid), expected)


def test_scaled_pixels_are_valid_if_all_they_cover_are():
    valid = np.ones((6, 9), bool)
    valid[2, 4] = False
    smaller = resized_mask(valid, 3, 2)
    assert np.array_equal(~smaller, [[False, True, False], [False, False, False]])
    larger = resized_mask(valid, 18, 12)
    assert np.array_equal(larger, valid.repeat(2, 0).repeat(2, 1))
    odd = resized_mask(valid, 4, 6)
    assert np.array_equal(np.argwhere(~odd), [[2, 1], [2, 2]])


@pytest.mark.parametrize("full_range", [False, True])
def test_a_video_as_a_mask(make_clip, full_range):
    """Pixels lighter than middle grey are valid, also after a lossy codec."""

    def halves(t: int, width: int, height: int) -> np.ndarray:
        shown = np.full((height, width, 3), 135, np.uint8)
        shown[:, : 8 * (t + 1)] = 120
        return shown

    mask = make_clip("mask.mp4", frames=4, size=(64, 48), picture=halves, full_range=full_range)
    video = make_clip("video.mp4", frames=4, size=(64, 48))
    with (
        open_mask(mask, video, frames=slice(1, 3)) as opened,
        open_source(video, frames=slice(1, 3), mask=opened) as source,
    ):
        frames = source.read(8)
    assert frames.valid_mask is not None and frames.valid_mask.shape == frames.y.shape == (
        2,
        48,
        64,
    )
    for t in range(2):
        assert np.array_equal(frames.valid_mask[t], np.tile(np.arange(64) >= 8 * (t + 2), (48, 1)))
    assert frames.y.flags.writeable and len(source.read(1)) == 0


def test_a_folder_as_a_mask(make_clip, tmp_path):
    """A folder of pictures masks a video; a frame without valid pixels repeats the one before it."""
    video = make_clip("video.mkv", frames=3, size=(40, 24), codec="ffv1", pix_fmt="bgr0")
    folder = tmp_path / "masks"
    folder.mkdir()
    for t in range(3):
        cv2.imwrite(str(folder / f"{t}.png"), np.full((24, 40), 0 if t == 1 else 255, np.uint8))
    with open_mask(folder, video) as opened, open_source(video, mask=opened) as source:
        frames = source.read(3)
    assert np.array_equal(frames.y[0], frames.y[1]) and not np.array_equal(frames.y[1], frames.y[2])
    assert frames.valid_mask is not None and frames.valid_mask.any((1, 2)).tolist() == [
        True,
        False,
        True,
    ]
