"""The search for motion: it finds what moved, and what it announces is what it does."""

from __future__ import annotations

from math import log1p

import numpy as np
import pytest

from nvcodec.entropy.motion.coder import MotionCoder
from nvcodec.fitting.latentgrid.motion_search.block_matching import match_blocks, picture_pyramid
from nvcodec.fitting.latentgrid.motion_search.frame_search import search_motion
from nvcodec.fitting.latentgrid.motion_search.residual_cost import new_strip, strip_cost
from nvcodec.host.compiled import compiled
from nvcodec.models.latentgrid.motion.block_prediction import (
    LUMA_FILTERS,
    LUMA_SHIFT,
    References,
    new_scratch,
)
from nvcodec.models.latentgrid.motion.grids import BOTH, FIRST, LEVELS, NEITHER, SECOND
from nvcodec.models.latentgrid.motion.prediction import predict_plane

CELL = 8


@compiled
def cost_of_strip(rows, strip, width, scale):
    return strip_cost(rows, strip, width, scale)


def texture(size: tuple[int, int], seed: int = 3) -> np.ndarray:
    """Return smooth noise, uint8."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft2(rng.normal(size=size))
    y, x = np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1])
    smooth = np.fft.irfft2(spectrum / (0.02 + x**2 + y**2), s=size)
    return np.clip(128 + 40 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def search(target, references, times, *, step=16.0, refinements=1, lagrangian=0.2):
    numbers = {0: tuple(times)}
    coder = MotionCoder(numbers, (-(-target.shape[0] // CELL), -(-target.shape[1] // CELL)), CELL)
    return search_motion(
        coder,
        0,
        target,
        references,
        None,
        cell=CELL,
        step=step,
        lagrangian=lagrangian,
        refinements=refinements,
    )


def error(target, references, grid) -> float:
    predicted = np.empty(target.shape, np.float32)
    planes = References(references[0], references[-1], LUMA_SHIFT, LUMA_FILTERS)
    predict_plane(planes, grid, CELL, new_scratch(CELL), predicted)
    return float(np.square(predicted - target).mean())


@pytest.mark.parametrize("shift", [(5, -3), (-21, 14)])
def test_a_pan_is_one_vector(shift):
    dx, dy = shift
    whole = texture((160, 192))
    target, reference = whole[40:120, 40:152], whole[40 + dy : 120 + dy, 40 + dx : 152 + dx]
    # What is at x in the target is at x - dx in the reference.
    grid = search(target, [reference], (-1,))
    inner = grid.vectors[3:-3, 3:-3, 0].reshape(-1, 2)
    assert (inner == (-4 * dx, -4 * dy)).all(axis=1).mean() > 0.9
    # Along the border, what comes into the picture may have no reference.
    assert (grid.modes[3:-3, 3:-3] == FIRST).all()


def test_two_motions_part_at_their_edge():
    whole = texture((96, 200))
    target, reference = whole[:, 20:148].copy(), whole[:, 20:148].copy()
    reference[:48] = whole[:48, 24:152]
    reference[48:] = whole[48:, 12:140]
    grid = search(target, [reference], (-1,))
    assert (grid.vectors[1:5, 4:-4, 0, 0] == -16).mean() > 0.9
    assert (grid.vectors[7:-1, 4:-4, 0, 0] == 32).mean() > 0.9


def test_the_reference_that_shows_it_is_taken():
    target = texture((64, 128))
    first, second = texture((64, 128), 8), texture((64, 128), 9)
    first[:, :64], second[:, 64:] = target[:, :64], target[:, 64:]
    grid = search(target, [first, second], (-1, 1))
    assert (grid.modes[:, :7] == FIRST).mean() > 0.9
    assert (grid.modes[:, 9:] == SECOND).mean() > 0.9


def test_noise_is_averaged_from_both():
    rng = np.random.default_rng(1)
    target = texture((64, 96))
    noisy = [
        np.clip(target + rng.normal(0, 8, target.shape), 0, 255).astype(np.uint8) for _ in range(2)
    ]
    assert (search(target, noisy, (-1, 1)).modes == BOTH).mean() > 0.9


def test_refinement_lowers_the_error_of_blended_blocks():
    whole = texture((96, 160)).astype(float)
    y, x = np.mgrid[:96, :160]
    # A zoom: no two blocks move alike.
    rows, columns = (48 + (y - 48) * 1.06).clip(0, 95), (80 + (x - 80) * 1.06).clip(0, 159)
    target = whole[np.rint(rows).astype(int), np.rint(columns).astype(int)].astype(np.uint8)
    reference = whole.astype(np.uint8)
    errors = [
        error(target, [reference], search(target, [reference], (-1,), step=8, refinements=n))
        for n in range(2)
    ]
    assert errors[1] < errors[0]


def test_dear_bits_leave_one_still_block():
    grid = search(texture((64, 64)), [texture((64, 64), 5)], (-1,), lagrangian=1e9)
    assert not grid.vectors.any()
    assert (grid.levels == LEVELS - 1).all()


@pytest.mark.parametrize("size", [(1, 1), (3, 70), (65, 9)])
def test_any_size(size):
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, size).astype(np.uint8) for _ in range(3)]
    grid = search(frames[0], frames[1:], (-1, 1))
    assert (grid.modes <= NEITHER).all()


@pytest.mark.parametrize("references", [1, 2])
def test_what_no_reference_holds_is_predicted_from_none(references):
    """A smooth object appears in front of a texture that stands still."""
    behind = texture((128, 192))
    target = behind.copy()
    target[32:96, 64:128] = 90 + np.arange(64) // 8
    grid = search(target, [behind] * references, (-1, 1)[:references], refinements=references)
    inside = np.zeros(grid.modes.shape, bool)
    inside[4:12, 8:16] = True
    assert (grid.modes[inside] == NEITHER).mean() > 0.7
    assert (grid.modes[~inside] == NEITHER).mean() < 0.02
    assert not grid.vectors[grid.modes == NEITHER].any()


def test_matching_reaches_far():
    whole = texture((256, 512))
    target, reference = whole[:, 100:356], whole[:, 180:436]
    size = 32, 32
    found = match_blocks(
        picture_pyramid(target),
        picture_pyramid(reference),
        CELL,
        size,
        np.zeros((*size, 2), np.int16),
        8.0,
    )
    for level in range(LEVELS):
        inner = found[level, : size[0] >> level, (11 >> level) + 1 : size[1] >> level]
        assert (inner == (-320, 0)).all(axis=-1).mean() > 0.9


def test_cost_is_that_of_an_orthonormal_transform():
    rng = np.random.default_rng(2)
    residual = rng.normal(0, 0.02, (8, 24)).astype(np.float32)
    strip = new_strip(24)
    # Far below a step, the cost is the squared error.
    rows = residual.copy()
    assert cost_of_strip(rows, strip, 24, 1.0) == pytest.approx(
        float(np.square(residual).sum()), rel=0.01
    )
    # A constant is one coefficient.
    rows[:] = 3.0
    assert cost_of_strip(rows, strip, 16, 2.0) == pytest.approx(
        2 * 0.55 * log1p((8 * 6.0) ** 2 / 0.55)
    )
    # A cosine of Walsh functions is one as well, wherever it lies.
    sign = np.where(np.arange(8) % 4 < 2, 1.0, -1.0)
    rows[:, :8] = 5 * sign[:, None] * sign[::-1]
    assert cost_of_strip(rows, strip, 8, 1.0) == pytest.approx(0.55 * log1p(40.0**2 / 0.55))
    rows[:] = 64 * 255.0
    assert np.isfinite(cost_of_strip(rows, strip, 24, 1e6))
