"""Refinement of chosen blocks, each together with the blocks that it overlaps with.

The quadtree is chosen as if every block predicted its own samples alone. In truth blocks are
blended. Here the motion of one block after the other is reconsidered, with all others as they are
(window-matched motion estimation for overlapped blocks; Orchard and Sullivan, 1994, section IV).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nvcodec.fitting.latentgrid.motion_search.residual_cost import SIDE, strip_cost
from nvcodec.fitting.latentgrid.motion_search.search_state import (
    Block,
    Search,
    clear_masked,
    motion_bits,
    open_block,
)
from nvcodec.host.compiled import compiled, compiled_part
from nvcodec.media import Float32Array, Int16Array, Int32Array, UInt8Array
from nvcodec.models.latentgrid.motion.grids import (
    LARGEST_VECTOR,
    MotionGrid,
    copy_vectors,
    same_vectors,
    store_block,
    uses,
)
from nvcodec.models.latentgrid.motion.prediction import (
    UNIT,
    Area,
    overlap_of,
    predict_block,
    window,
)

# Trials for a block beside its candidates and its motion so far: both signs along both axes for
# each reference, then the three sets of references.
_MOVES, _MODES = 8, 3


class Blend(NamedTuple):
    """The blended prediction of a frame.

    Attributes:
        totals: Sum of the weights of all blocks, shape (H, W).
        sums: Weighted sum of their predictions, shape (H, W).
        others: Room for the weighted sum of all blocks but one, where that one has weight.
        weights: Room for the weights of a block along one axis.
    """

    totals: Int32Array
    sums: Int32Array
    others: Int32Array
    weights: Int32Array


class Support(NamedTuple):
    """Where a block has weight.

    Attributes:
        area: The samples.
        skip_y: Rows of its window that lie before the picture.
        skip_x: Columns of its window that lie before the picture.
    """

    area: Area
    skip_y: int
    skip_x: int


@compiled_part
def _open_support(search: Search, blend: Blend, row: int, column: int, level: int) -> Support:
    """Return where a block has weight, and fill its weights."""
    height, width = search.target.shape
    side = search.cell << level
    overlap = overlap_of(side, search.cell)
    window(side, overlap, 4 * search.cell, blend.weights)
    y, x = row * search.cell - overlap, column * search.cell - overlap
    top, left = max(y, 0), max(x, 0)
    rows = min(y + side + 2 * overlap, height) - top
    columns = min(x + side + 2 * overlap, width) - left
    return Support(Area(top, left, rows, columns), top - y, left - x)


@compiled_part
def _add(search: Search, blend: Blend, support: Support, sign: int, new: bool) -> None:
    """Add the predicted block to the blend, or take it away; if it is new, its weights as well."""
    for y in range(support.area.rows):
        down = sign * blend.weights[support.skip_y + y]
        block = search.scratch.block[y]
        sums = blend.sums[support.area.top + y, support.area.left :]
        totals = blend.totals[support.area.top + y, support.area.left :]
        across = blend.weights[support.skip_x :]
        for x in range(support.area.columns):
            sums[x] += down * across[x] * block[x]
        if new:
            for x in range(support.area.columns):
                totals[x] += down * across[x]


@compiled_part
def _residual_line(
    search: Search, blend: Blend, support: Support, y: int, line: Float32Array
) -> None:
    """Fill a row of the residual, with the predicted block in its place.

    Args:
        search: The search.
        blend: The blend without the block.
        support: Where the block has weight.
        y: Row within that.
        line: Filled, 1/64 of an 8-bit level.
    """
    row, column = support.area.top + y, support.area.left
    target = search.target[row, column:]
    sums, totals = blend.sums[row, column:], blend.totals[row, column:]
    across, block = blend.weights[support.skip_x :], search.scratch.block[y]
    down = blend.weights[support.skip_y + y]
    for x in range(support.area.columns):
        blended = np.float32(sums[x] + down * across[x] * block[x]) / np.float32(totals[x])
        line[x] = np.float32(np.int32(target[x]) * UNIT) - blended
    clear_masked(search, line, row, column, support.area.columns)


@compiled_part
def _blended_cost(
    search: Search, blend: Blend, support: Support, mode: int, vectors: Int16Array
) -> float:
    """Return the cost of the residual where a block has weight, if it had this motion.

    Args:
        search: The search.
        blend: The blend without the block.
        support: Where it has weight.
        mode: References of the motion.
        vectors: Its vectors.
    """
    predict_block(search.references, mode, vectors, support.area, search.scratch)
    rows, columns = support.area.rows, support.area.columns
    width = (columns + SIDE - 1) & -SIDE
    cost = 0.0
    for y in range(0, rows, SIDE):
        for v in range(SIDE):
            line = search.strip.rows[v]
            if y + v < rows:
                _residual_line(search, blend, support, y + v, line)
                for x in range(columns, width):
                    line[x] = 0
            else:
                line[:width] = 0
        cost += strip_cost(search.strip, width, search.scale / UNIT)
    return cost


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
        return int(block.candidates.modes[number])
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


@compiled
def refine_overlapped(search: Search, grid: MotionGrid) -> int:
    """Reconsider the motion of every block.

    Args:
        search: The search, whose grid is filled anew; it is empty.
        grid: The motion so far.

    Returns:
        Number of blocks that were changed.
    """
    blend = Blend(
        np.zeros(search.target.shape, np.int32),
        np.zeros(search.target.shape, np.int32),
        np.zeros(search.scratch.block.shape, np.int32),
        np.zeros(search.scratch.block.shape[0], np.int32),
    )
    blocks = _blocks(grid.levels)
    for number in range(len(blocks)):
        row, column, level = int(blocks[number, 0]), int(blocks[number, 1]), int(blocks[number, 2])
        support = _open_support(search, blend, row, column, level)
        mode, vectors = int(grid.modes[row, column]), grid.vectors[row, column]
        predict_block(search.references, mode, vectors, support.area, search.scratch)
        _add(search, blend, support, 1, True)
    changed = 0
    trial, best_vectors = np.zeros((2, 2), np.int16), np.zeros((2, 2), np.int16)
    for number in range(len(blocks)):
        row, column, level = int(blocks[number, 0]), int(blocks[number, 1]), int(blocks[number, 2])
        mode, start = int(grid.modes[row, column]), grid.vectors[row, column]
        support = _open_support(search, blend, row, column, level)
        predict_block(search.references, mode, start, support.area, search.scratch)
        _add(search, blend, support, -1, False)
        block = open_block(search, row, column, level)
        best, best_mode = np.inf, mode
        for choice in range(block.found + 1 + _MOVES + _MODES):
            trial_mode = _trial(search, block, choice, mode, start, trial)
            if trial_mode < 0:
                continue
            cost = search.price * motion_bits(search, block, trial_mode, trial)
            if cost < best:
                cost += _blended_cost(search, blend, support, trial_mode, trial)
                if cost < best:
                    best, best_mode = cost, trial_mode
                    copy_vectors(trial, best_vectors)
        if best_mode != mode or not same_vectors(best_vectors, start):
            changed += 1
        predict_block(search.references, best_mode, best_vectors, support.area, search.scratch)
        _add(search, blend, support, 1, False)
        store_block(search.grid, row, column, level, best_mode, best_vectors)
    return changed


@compiled_part
def _blocks(levels: UInt8Array) -> Int32Array:
    """Return row, column and level of all blocks in coding order, shape (N, 3)."""
    height, width = levels.shape
    blocks = np.zeros((levels.size, 3), np.int32)
    count = 0
    # Within an aligned square, coding order is that of interleaved bits of row and column.
    for square in range(-(-height // 8) * -(-width // 8)):
        top, left = square // -(-width // 8) * 8, square % -(-width // 8) * 8
        for place in range(64):
            row = top + ((place >> 1) & 1) + ((place >> 2) & 2) + ((place >> 3) & 4)
            column = left + (place & 1) + ((place >> 1) & 2) + ((place >> 2) & 4)
            if row >= height or column >= width:
                continue
            span = 1 << levels[row, column]
            if row % span == 0 and column % span == 0:
                blocks[count, 0], blocks[count, 1] = row, column
                blocks[count, 2] = levels[row, column]
                count += 1
    return blocks[:count]
