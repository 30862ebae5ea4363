"""Masks as they are read, and what fills the pixels they hide."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from nvcodec.video import open_mask, open_source
from nvcodec.video.mask_filling import filled, resized_mask, valid_chroma


def test_a_filling_goes_on_smoothly_and_keeps_what_is_known():
    y, x = np.mgrid[:45, :70]
    plane = (40 + x + 2 * y).astype(np.uint8)
    known = np.ones(plane.shape, bool)
    known[10:25, 20:41] = False
    known[30, :] = False
    first, second = (
        filled(np.where(known, plane, other).astype(np.uint8), known) for other in (0, 255)
    )
    assert np.array_equal(first, second)
    assert np.array_equal(first[known], plane[known])
    assert np.abs(first.astype(int) - plane).max() < 12


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 1), (33, 2)])
def test_fillings_of_small_planes(shape):
    known = np.zeros(shape, bool)
    plane = np.full(shape, 77, np.uint8)
    assert (filled(plane, known) == 128).all()
    known[0, 0] = True
    assert (filled(plane, known) == 77).all()


def test_chroma_is_known_where_every_filter_sees_known_pixels():
    known = np.ones((2, 9, 12), bool)
    known[1, 4, 5] = False
    expected = np.ones((2, 5, 6), bool)
    # Rows 3 to 6 and 1 to 4 reach row 4, columns 3 to 6 and 5 to 8 column 5.
    expected[1, 1:3, 2:4] = False
    assert np.array_equal(valid_chroma(known), expected)


def test_scaled_pixels_are_known_if_all_they_cover_is():
    known = np.ones((6, 9), bool)
    known[2, 4] = False
    smaller = resized_mask(known, 3, 2)
    assert np.array_equal(~smaller, [[False, True, False], [False, False, False]])
    larger = resized_mask(known, 18, 12)
    assert np.array_equal(larger, known.repeat(2, 0).repeat(2, 1))
    odd = resized_mask(known, 4, 6)
    assert np.array_equal(np.argwhere(~odd), [[2, 1], [2, 2]])


@pytest.mark.parametrize("full_range", [False, True])
def test_a_video_as_a_mask(make_clip, full_range):
    """White is what is lighter than middle grey, also after a lossy codec."""

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


def test_a_mask_is_as_the_viewer_sees_the_pictures(make_clip, tmp_path):
    """Of a turned video it has the turned size; black pictures take what was there before."""
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
