"""Overlapped block prediction: displaced samples, windows, and borders."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import torch

from nvcodec.models.latentgrid.motion.block_prediction import (
    CHROMA_FILTERS,
    LUMA_FILTERS,
    LUMA_SHIFT,
    References,
    new_scratch,
)
from nvcodec.models.latentgrid.motion.grids import (
    BOTH,
    FIRST,
    LEVELS,
    MODES,
    NEITHER,
    SECOND,
    empty_grid,
)
from nvcodec.models.latentgrid.motion.pictures import flow_towards, predict_picture
from nvcodec.models.latentgrid.motion.prediction import predict_plane
from nvcodec.models.latentgrid.picture import Picture

CELL = 8
SIZE = 44, 52


def plane(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, size).astype(np.uint8)


def grid_of(mode: int, first=(0, 0), second=(0, 0), level: int = 0, size=SIZE, cell: int = CELL):
    grid = empty_grid((-(-size[0] // cell), -(-size[1] // cell)))
    grid.levels[:], grid.modes[:] = level, mode
    grid.vectors[:, :, 0], grid.vectors[:, :, 1] = first, second
    return grid


def predict(grid, first, second=None, cell: int = CELL) -> np.ndarray:
    result = np.full(first.shape, np.nan, np.float32)
    references = References(first, first if second is None else second, LUMA_SHIFT, LUMA_FILTERS)
    predict_plane(references, grid, cell, new_scratch(cell), result)
    return result


def moved(samples: np.ndarray, dx: int, dy: int) -> np.ndarray:
    """Return sample (y + dy, x + dx) for every (y, x), the border repeated."""
    height, width = samples.shape
    rows = (np.arange(height) + dy).clip(0, height - 1)
    return samples[rows][:, (np.arange(width) + dx).clip(0, width - 1)]


@pytest.mark.parametrize("level", range(LEVELS))
@pytest.mark.parametrize("shift", [(0, 0), (2, -4), (-7, 3), (2047, -2047)])
def test_whole_samples_are_exact(level, shift):
    source = plane(0)
    vector = 4 * np.array(shift)
    for mode, place in ((FIRST, 0), (SECOND, 1)):
        vectors = [(0, 0), (0, 0)]
        vectors[place] = tuple(vector)
        planes = [plane(1), plane(1)]
        planes[place] = source
        predicted = predict(grid_of(mode, *vectors, level=level), *planes)
        assert np.array_equal(predicted, moved(source, *shift))


def test_both_references_are_averaged():
    first, second = plane(0), plane(1)
    predicted = predict(grid_of(BOTH, (4, 0), (0, -8)), first, second)
    mean = (moved(first, 1, 0).astype(float) + moved(second, 0, -2)) / 2
    assert np.abs(predicted - mean).max() <= 1 / 64


@pytest.mark.parametrize("filters", [LUMA_FILTERS, CHROMA_FILTERS])
def test_filters_keep_constants_and_mirror_each_other(filters):
    used = [phase for phase in range(8) if filters[phase].any()]
    assert all(filters[phase].sum() == 64 for phase in used)
    for phase in used[1:]:
        assert np.array_equal(filters[phase], filters[8 - phase][::-1])
        assert abs(filters[phase] @ (np.arange(8) - 3) / 64 - phase / 8) < 0.05


def test_fractions_follow_a_slope():
    slope = np.tile(np.arange(52) * 4, (44, 1)).astype(np.uint8)
    for quarter in range(1, 4):
        predicted = predict(grid_of(FIRST, (quarter, quarter)), slope)
        assert np.abs(predicted[:, 8:-8] - slope[:, 8:-8] - quarter).max() < 0.15


def test_windows_of_blocks_cross_fade():
    """Between the centres of two small blocks, the share of one falls by equal steps."""
    black, white = np.zeros(SIZE, np.uint8), np.full(SIZE, 255, np.uint8)
    grid = grid_of(FIRST)
    grid.modes[:, 3:] = SECOND
    predicted = predict(grid, black, white)
    share = predicted[20] / 255
    steps = (2 * np.arange(8) + 1) / 16
    assert np.abs(share[20:28] - steps).max() < 1e-3
    assert not share[:20].any()
    assert (share[28:] == 1).all()


def test_large_blocks_overlap_by_one_cell():
    size = 64, 64
    black, white = np.zeros(size, np.uint8), np.full(size, 255, np.uint8)
    grid = grid_of(FIRST, level=2, size=size)
    grid.modes[:, 4:] = SECOND
    share = predict(grid, black, white)[20] / 255
    assert np.abs(share[24:40] - (2 * np.arange(16) + 1) / 32).max() < 1e-3
    assert not share[:24].any()
    assert (share[40:] == 1).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (37, 1), (9, 7), (65, 130)])
@pytest.mark.parametrize("cell", [4, 32])
def test_every_sample_is_predicted_whatever_the_size(size, cell):
    rng = np.random.default_rng(size[0])
    grid = grid_of(BOTH, size=size, cell=cell, level=3)
    grid.levels[:] = 3
    grid.vectors[:] = rng.integers(-8191, 8192, (2, 2))
    predicted = predict(grid, plane(0, size), plane(1, size), cell)
    assert np.isfinite(predicted).all()
    assert predicted.min() >= -128
    assert predicted.max() <= 383


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (37, 1), (65, 130)])
def test_a_picture_without_references_is_grey(size):
    grid = grid_of(NEITHER, size=size, level=3)
    assert (predict(grid, plane(0, size)) == 128).all()


def test_blocks_without_references_continue_what_is_around():
    """In a picture of one colour nothing shows where they are; a slope goes on as one."""
    size = 128, 128
    grid = grid_of(FIRST, size=size)
    grid.modes[5:9, 4:12] = NEITHER
    assert (predict(grid, np.full(size, 200, np.uint8)) == 200).all()
    slope = np.tile(np.arange(128), (128, 1)).astype(np.uint8)
    difference = predict(grid, slope) - slope
    assert not difference[:32].any()
    assert np.abs(difference).max() < 24
    other = slope.copy()
    other[48:64, 40:88] = 255
    assert np.array_equal(predict(grid, other)[48:64, 40:88], predict(grid, slope)[48:64, 40:88])


def test_what_is_filled_stays_in_range():
    """The filters overshoot at an edge; a mean beyond 8 bits is limited."""
    stripes = np.tile(np.repeat([0, 255], 4), (44, 7))[:, :52].astype(np.uint8)
    grid = grid_of(FIRST, (2, 0))
    grid.modes[:, 3] = NEITHER
    predicted = predict(grid, stripes)
    assert predicted[:, 26:30].min() >= 0
    assert predicted[:, 26:30].max() <= 255


@pytest.mark.parametrize("rgb", [False, True])
def test_chroma_moves_with_luma(rgb):
    small = SIZE if rgb else (22, 26)
    chroma = np.stack([plane(1, small), plane(2, small)])
    picture = Picture(torch.from_numpy(plane(0))[None, None], torch.from_numpy(chroma)[None])
    predicted = predict_picture(grid_of(FIRST, (8, -16)), [picture], CELL)
    ratio = 1 if rgb else 2
    assert np.array_equal(predicted.luma[0, 0], moved(picture.luma[0, 0].numpy(), 2, -4))
    for number in range(2):
        source = picture.chroma[0, number].numpy()
        expected = moved(source, 2 // ratio, -4 // ratio)
        assert np.array_equal(predicted.chroma[0, number], expected)


def test_flow_of_blocks_that_use_the_other_reference():
    flow = flow_towards(grid_of(FIRST, (8, -4)), 1, (-1, 3))
    assert flow.shape == (1, 2, 6, 7)
    assert (flow[0, 0] == -6).all()
    assert (flow[0, 1] == 3).all()


_DIGEST = """
import hashlib, sys
sys.path.insert(0, {folder!r})
from test_block_prediction import digest
print(digest())
"""


def digest() -> str:
    """Return a digest of the prediction of random blocks."""
    rng = np.random.default_rng(7)
    size = 20, 28
    grid = grid_of(BOTH, size=size, cell=4)
    grid.modes[:] = rng.integers(0, MODES, grid.modes.shape)
    grid.vectors[:] = rng.integers(-90, 90, grid.vectors.shape)
    predicted = predict(grid, plane(0, size), plane(1, size), 4)
    return hashlib.sha256(predicted.tobytes()).hexdigest()


def test_plain_python_predicts_the_same(environment):
    """Where numba is missing, the same functions run as they are."""
    code = _DIGEST.format(folder=__file__.rpartition("/")[0])
    plain = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert plain.stdout.strip() == digest()
