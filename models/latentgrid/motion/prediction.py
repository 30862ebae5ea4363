"""Prediction of a plane: blocks that overlap are blended, in integers."""

from __future__ import annotations

import numpy as np

from nvcodec.host.compiled import compiled
from nvcodec.media import Float32Array
from nvcodec.models.latentgrid.motion.block_prediction import (
    UNIT,
    References,
    Scratch,
    predict_block,
)
from nvcodec.models.latentgrid.motion.grids import NEITHER, MotionGrid
from nvcodec.models.latentgrid.motion.unpredicted import add_unpredicted
from nvcodec.models.latentgrid.motion.windows import add_block, add_weights, open_window


@compiled
def predict_plane(
    references: References, grid: MotionGrid, cell: int, scratch: Scratch, result: Float32Array
) -> None:
    """Predict a plane of a frame.

    Args:
        references: The plane of its references.
        grid: Its motion.
        cell: Side of a cell in this plane, samples, at least 2.
        scratch: `new_scratch(cell)`.
        result: Filled with the prediction, 8-bit levels, shape (H, W).
    """
    height, width = result.shape
    size = height, width
    weights = np.empty(scratch.block.shape[0], np.int32)
    totals, sums = np.zeros(size, np.int32), np.zeros(size, np.int32)
    unpredicted = False
    for row in range(grid.levels.shape[0]):
        for column in range(grid.levels.shape[1]):
            level = int(grid.levels[row, column])
            span = 1 << level
            if row % span or column % span:
                continue
            mode = int(grid.modes[row, column])
            if mode == NEITHER:
                unpredicted = True
                continue
            window = open_window(size, cell, row, column, level, weights)
            predict_block(references, mode, grid.vectors[row, column], window.area, scratch)
            add_weights(totals, window)
            add_block(sums, window, scratch.block, 1)
    if unpredicted:
        add_unpredicted(grid, cell, sums, totals, scratch, weights)
    for y in range(height):
        for x in range(width):
            total = totals[y, x]
            result[y, x] = ((sums[y, x] + (total >> 1)) // total) / UNIT
