"""Refinement of chosen blocks, each together with the blocks that it overlaps with.

The quadtree is chosen as if every block predicted its own samples alone. In truth blocks are
blended. Here the motion of one block after the other is reconsidered, with all others as they are
(window-matched motion estimation for overlapped blocks; Orchard and Sullivan, 1994, section IV).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nvcodec.fitting.latentgrid.motion_search.search_state import (
    Block,
    Search,
    area_cost,
    motion_bits,
    open_block,
)
from nvcodec.host.compiled import compiled, compiled_part
from nvcodec.media import Int16Array, Int32Array, UInt8Array
from nvcodec.models.latentgrid.motion.block_prediction import UNIT, predict_block
from nvcodec.models.latentgrid.motion.grids import (
    LARGEST_VECTOR,
    LEVELS,
    NEITHER,
    MotionGrid,
    copy_vectors,
    store_block,
    uses,
)
from nvcodec.models.latentgrid.motion.unpredicted import add_unpredicted
from nvcodec.models.latentgrid.motion.windows import (
    Window,
    add_block,
    add_weights,
    open_window,
)

# Trials for a block beside its candidates and its motion so far: both signs along both axes for
# each reference, then the three sets of references.
_MOVES, _MODES = 8, 3


class Blend(NamedTuple):
    """The blended prediction of a frame.

    Attributes:
        totals: Sum of the weights of all blocks, shape (H, W).
        sums: Weighted sum of their predictions, shape (H, W).
    """

    totals: Int32Array
    sums: Int32Array


@compiled_part
def _blended_cost(
    search: Search, blend: Blend, window: Window, mode: int, vectors: Int16Array
) -> float:
    """Return the cost of the residual where a block has weight, if it had this motion.

    Args:
        search: The search.
        blend: The blend without the block.
        window: Window of the block.
        mode: References of the motion.
        vectors: Its vectors.
    """
    predict_block(search.references, mode, vectors, window.area, search.scratch)
    top, left, rows, columns = window.area
    for y in range(rows):
        target, line = search.target[top + y, left:], search.residual[y]
        sums, totals = blend.sums[top + y, left:], blend.totals[top + y, left:]
        down, across, block = window.down[y], window.across, search.scratch.block[y]
        for x in range(columns):
            blended = np.float32(sums[x] + down * across[x] * block[x]) / np.float32(totals[x])
            line[x] = np.float32(np.int32(target[x]) * UNIT) - blended
    return area_cost(search, window.area)


@compiled_part
def _trial(
    search: Search, block: Block, number: int, mode: int, vectors: Int16Array, trial: Int16Array
) -> int:
    """Fill one of the motions that are tried for a block.

    Args:
        search: The search.
        block: The block.
        number: Number of the trial.
        mode: References of the motion so far.
        vectors: Its vectors.
        trial: Filled with vectors.

    Returns:
        The references, or -1 if there is no such trial.
    """
    if number < block.found:
        copy_vectors(block.candidates.vectors[number], trial)
        repeated = int(block.candidates.modes[number])
        return -1 if repeated == NEITHER else repeated
    copy_vectors(vectors, trial)
    number -= block.found + 1
    if number < 0:
        return mode
    if number < _MOVES:
        reference, axis = number >> 2, (number >> 1) & 1
        moved = int(trial[reference, axis]) + 2 * (number & 1) - 1
        if not uses(mode, reference) or abs(moved) > LARGEST_VECTOR:
            return -1
        trial[reference, axis] = moved
        return mode
    other_mode = number - _MOVES
    if search.references_count == 1 or other_mode == mode:
        return -1
    for reference in range(2):
        if not uses(other_mode, reference):
            trial[reference, 0], trial[reference, 1] = 0, 0
        elif not uses(mode, reference):
            # The vector that is missing is that of the first candidate that has one.
            trial[reference, 0] = -vectors[1 - reference, 0]
            trial[reference, 1] = -vectors[1 - reference, 1]
            for known in range(block.found - 1, -1, -1):
                if uses(int(block.candidates.modes[known]), reference):
                    trial[reference, 0] = block.candidates.vectors[known, reference, 0]
                    trial[reference, 1] = block.candidates.vectors[known, reference, 1]
    return other_mode


@compiled_part
def _blocks(levels: UInt8Array) -> Int32Array:
    """Return row, column and level of all blocks in coding order, shape (N, 3)."""
    height, width = levels.shape
    side = 1 << (LEVELS - 1)
    blocks = np.zeros((levels.size, 3), np.int32)
    count = 0
    # Within an aligned square, coding order is that of interleaved bits of row and column.
    for top in range(0, height, side):
        for left in range(0, width, side):
            for place in range(side * side):
                row, column = top, left
                for bit in range(LEVELS - 1):
                    column += ((place >> (2 * bit)) & 1) << bit
                    row += ((place >> (2 * bit + 1)) & 1) << bit
                if row >= height or column >= width:
                    continue
                span = 1 << levels[row, column]
                if row % span == 0 and column % span == 0:
                    blocks[count, 0], blocks[count, 1] = row, column
                    blocks[count, 2] = levels[row, column]
                    count += 1
    return blocks[:count]


@compiled
def refine_overlapped(search: Search, grid: MotionGrid) -> None:
    """Reconsider the motion of every block that has references.

    Args:
        search: The search, whose grid is filled anew; it is empty.
        grid: The motion so far.
    """
    (height, width), scratch = search.target.shape, search.scratch
    size = height, width
    blend = Blend(np.zeros(size, np.int32), np.zeros(size, np.int32))
    weights = np.empty(scratch.block.shape[0], np.int32)
    blocks = _blocks(grid.levels)
    for number in range(len(blocks)):
        row, column, level = int(blocks[number, 0]), int(blocks[number, 1]), int(blocks[number, 2])
        mode, vectors = int(grid.modes[row, column]), grid.vectors[row, column]
        if mode == NEITHER:
            continue
        window = open_window(size, search.cell, row, column, level, weights)
        predict_block(search.references, mode, vectors, window.area, scratch)
        add_weights(blend.totals, window)
        add_block(blend.sums, window, scratch.block, 1)
    add_unpredicted(grid, search.cell, blend.sums, blend.totals, scratch, weights)
    trial, best_vectors = np.zeros((2, 2), np.int16), np.zeros((2, 2), np.int16)
    for number in range(len(blocks)):
        row, column, level = int(blocks[number, 0]), int(blocks[number, 1]), int(blocks[number, 2])
        mode, start = int(grid.modes[row, column]), grid.vectors[row, column]
        if mode == NEITHER:
            store_block(search.grid, row, column, level, mode, start)
            continue
        window = open_window(size, search.cell, row, column, level, weights)
        predict_block(search.references, mode, start, window.area, scratch)
        add_block(blend.sums, window, scratch.block, -1)
        block = open_block(search, row, column, level)
        best, best_mode = np.inf, mode
        for choice in range(block.found + 1 + _MOVES + _MODES):
            trial_mode = _trial(search, block, choice, mode, start, trial)
            if trial_mode < 0:
                continue
            cost = search.price * motion_bits(search, block, trial_mode, trial)
            if cost < best:
                cost += _blended_cost(search, blend, window, trial_mode, trial)
                if cost < best:
                    best, best_mode = cost, trial_mode
                    copy_vectors(trial, best_vectors)
        predict_block(search.references, best_mode, best_vectors, window.area, scratch)
        add_block(blend.sums, window, scratch.block, 1)
        store_block(search.grid, row, column, level, best_mode, best_vectors)
