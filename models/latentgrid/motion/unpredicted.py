"""Blocks without references: they continue smoothly what is predicted around them.

A newly uncovered object, or a picture that has nothing to do with its references, is better coded
without them. Such blocks are filled by averaging over ever larger squares of cells and
interpolating back (pull-push: Gortler et al., The Lumigraph, SIGGRAPH 1996, section 3.4), which
leaves no edges for the residual to undo. All of it is integer arithmetic.
"""

from __future__ import annotations

import numpy as np

from nvcodec.host.compiled import compiled_part
from nvcodec.media import Int32Array
from nvcodec.models.latentgrid.motion.block_prediction import UNIT, Scratch
from nvcodec.models.latentgrid.motion.grids import NEITHER, MotionGrid
from nvcodec.models.latentgrid.motion.windows import add_block, add_weights, open_window

_GREY = 128 * UNIT
_HIGHEST = 255 * UNIT
_NO_MEAN = -1


@compiled_part
def _cell_means(
    grid: MotionGrid, cell: int, sums: Int32Array, totals: Int32Array, means: Int32Array
) -> None:
    """Fill the mean of the prediction in each cell that has references."""
    height, width = sums.shape
    for row in range(means.shape[0]):
        for column in range(means.shape[1]):
            if grid.modes[row, column] == NEITHER:
                continue
            total, count = 0, 0
            for y in range(row * cell, min((row + 1) * cell, height)):
                for x in range(column * cell, min((column + 1) * cell, width)):
                    total += sums[y, x] // totals[y, x]
                    count += 1
            means[row, column] = min(max((total + (count >> 1)) // count, 0), _HIGHEST)


@compiled_part
def _average(fine: Int32Array, coarse: Int32Array) -> None:
    """Fill the means of squares of 2 x 2 values, as far as these have values."""
    height, width = fine.shape
    for row in range(coarse.shape[0]):
        for column in range(coarse.shape[1]):
            total, count = 0, 0
            for y in range(2 * row, min(2 * row + 2, height)):
                for x in range(2 * column, min(2 * column + 2, width)):
                    if fine[y, x] != _NO_MEAN:
                        total += fine[y, x]
                        count += 1
            if count:
                coarse[row, column] = (total + (count >> 1)) // count


@compiled_part
def _interpolate(coarse: Int32Array, fine: Int32Array) -> None:
    """Fill missing values from those of squares: bilinearly, those outside taken from the border."""
    height, width = coarse.shape
    for row in range(fine.shape[0]):
        near_y = row >> 1
        far_y = min(max(near_y + 2 * (row & 1) - 1, 0), height - 1)
        for column in range(fine.shape[1]):
            if fine[row, column] != _NO_MEAN:
                continue
            near_x = column >> 1
            far_x = min(max(near_x + 2 * (column & 1) - 1, 0), width - 1)
            beside = coarse[near_y, far_x] + coarse[far_y, near_x]
            total = 9 * coarse[near_y, near_x] + 3 * beside + coarse[far_y, far_x]
            fine[row, column] = (total + 8) >> 4


@compiled_part
def add_unpredicted(
    grid: MotionGrid,
    cell: int,
    sums: Int32Array,
    totals: Int32Array,
    scratch: Scratch,
    weights: Int32Array,
) -> None:
    """Add the cells of blocks without references to the sums of a plane that holds all others.

    Args:
        grid: Motion of the frame.
        cell: Side of a cell in the plane, samples.
        sums: Weighted sums of predictions, 1/64 of an 8-bit level, shape (H, W).
        totals: Sums of their weights, shape (H, W).
        scratch: Room for a block.
        weights: Room for weights along an axis.
    """
    height, width = grid.modes.shape
    scales = 1
    while max(height, width) > 1 << (scales - 1):
        scales += 1
    # One plane for each scale, in which it fills the corner.
    means = np.full((scales, height, width), _NO_MEAN, np.int32)
    _cell_means(grid, cell, sums, totals, means[0])
    for scale in range(1, scales):
        fine = means[scale - 1, : _halved(height, scale - 1), : _halved(width, scale - 1)]
        _average(fine, means[scale, : _halved(height, scale), : _halved(width, scale)])
    if means[scales - 1, 0, 0] == _NO_MEAN:
        means[scales - 1, 0, 0] = _GREY
    for scale in range(scales - 1, 0, -1):
        coarse = means[scale, : _halved(height, scale), : _halved(width, scale)]
        _interpolate(
            coarse, means[scale - 1, : _halved(height, scale - 1), : _halved(width, scale - 1)]
        )
    size = sums.shape[0], sums.shape[1]
    for row in range(height):
        for column in range(width):
            if grid.modes[row, column] != NEITHER:
                continue
            window = open_window(size, cell, row, column, 0, weights)
            for y in range(window.area.rows):
                for x in range(window.area.columns):
                    scratch.block[y, x] = means[0, row, column]
            add_weights(totals, window)
            add_block(sums, window, scratch.block, 1)


@compiled_part
def _halved(length: int, times: int) -> int:
    """Return a length halved some times, rounded up."""
    return (length + (1 << times) - 1) >> times
