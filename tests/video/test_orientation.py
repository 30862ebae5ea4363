"""Tests of display matrices and rotations."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest

from nvcodec.video.sources.orientation import (
    UPRIGHT,
    Orientation,
    from_display_matrix,
    from_rotation,
)

PICTURE = np.arange(6, dtype=np.uint8).reshape(2, 3)


def matrix(a, b, c, d):
    unit = 1 << 16  # matrix entries are 16.16 fixed point
    return struct.pack("=9i", a * unit, b * unit, 0, c * unit, d * unit, 0, 0, 0, 1 << 30)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ((1, 0, 0, 1), PICTURE),
        ((-1, 0, 0, -1), np.rot90(PICTURE, 2)),
        ((0, 1, -1, 0), np.rot90(PICTURE, -1)),  # clockwise: right becomes down
        ((0, -1, 1, 0), np.rot90(PICTURE, 1)),
        ((-1, 0, 0, 1), PICTURE[:, ::-1]),
        ((1, 0, 0, -1), PICTURE[::-1]),
        ((0, 1, 1, 0), PICTURE.T),
        ((0, -2, -1, 0), PICTURE[::-1, ::-1].T),  # also stretched, which the aspect ratio covers
    ],
)
def test_display_matrices(entries, expected):
    found = from_display_matrix(matrix(*entries))
    assert found is not None
    assert (found.apply(PICTURE) == expected).all()


def test_slanted_and_broken_matrices_are_refused():
    s = round(math.sin(0.5) * 65536)
    assert from_display_matrix(struct.pack("=9i", s, s, 0, -s, s, 0, 0, 0, 1)) is None
    assert from_display_matrix(bytes(36)) is None
    assert from_display_matrix(b"short") is None


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_rotation_is_anticlockwise(turns):
    for degrees in (90 * turns, 90 * turns - 360):
        found = from_rotation(degrees)
        assert isinstance(found, Orientation)
        assert (found.apply(PICTURE) == np.rot90(PICTURE, turns)).all()
    assert from_rotation(45) is None
    assert from_rotation(0) == UPRIGHT
