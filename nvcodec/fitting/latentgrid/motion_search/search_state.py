"""What the search for the motion of a frame works on, and what a block costs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nvcodec.entropy.motion.contexts import MODE, SINGLE_MODE
from nvcodec.entropy.motion.syntax import length_context, length_of, merge_context
from nvcodec.fitting.latentgrid.motion_search.residual_cost import SIDE, Strip, strip_cost
from nvcodec.host.compiled import compiled_part
from nvcodec.media import Float32Array, Int16Array, UInt8Array
from nvcodec.models.latentgrid.motion.block_prediction import (
    UNIT,
    Area,
    References,
    Scratch,
    predict_block,
)
from nvcodec.models.latentgrid.motion.candidates import (
    MOST_CANDIDATES,
    Candidates,
    find_candidates,
    matching,
    new_candidates,
    predict_vector,
)
from nvcodec.models.latentgrid.motion.grids import BOTH, NEITHER, MotionGrid, uses
from nvcodec.models.latentgrid.motion.temporal import CarriedMotion

# Bits of the mean of a block without references, chosen on clips of the development half.
_MEAN_BITS = 20


class Search(NamedTuple):
    """The search for the motion of a frame.

    Attributes:
        target: Luma of the frame, uint8, shape (H, W).
        valid: Which of its samples count, shape (H, W); empty if all do.
        references: Luma of its references.
        references_count: Number of references.
        grid: Its motion so far.
        carried: Motion that its references suggest.
        matched: Vectors found by matching, shape (2 references, levels, h, w, 2).
        times: Distance from the frame to each reference.
        bits: Bits of each symbol in each context.
        scratch: Room for the prediction of a block.
        residual: Room for what it leaves, float32.
        strip: Room for the transform of some rows of that.
        cell: Side of a cell, samples.
        scale: Quantisation steps per 8-bit level.
        price: Cost of a bit, in squared steps.
    """

    target: UInt8Array
    valid: npt.NDArray[np.bool_]
    references: References
    references_count: int
    grid: MotionGrid
    carried: CarriedMotion
    matched: Int16Array
    times: npt.NDArray[np.int64]
    bits: Float32Array
    scratch: Scratch
    residual: Float32Array
    strip: Strip
    cell: int
    scale: float
    price: float


class Block(NamedTuple):
    """A block under search.

    Attributes:
        level: Its level.
        area: The samples that it covers.
        context: Context of its candidate.
        candidates: Its candidates.
        found: Number of its candidates.
    """

    level: int
    area: Area
    context: int
    candidates: Candidates
    found: int


@compiled_part
def open_block(search: Search, row: int, column: int, level: int) -> Block:
    """Return the block of a level whose first cell is at a row and column."""
    candidates = new_candidates()
    found = find_candidates(
        search.grid, search.carried, row, column, level, search.references_count, candidates
    )
    context = merge_context(search.grid, row, column, level)
    height, width = search.target.shape
    top, left, side = row * search.cell, column * search.cell, search.cell << level
    area = Area(top, left, min(side, height - top), min(side, width - left))
    return Block(level, area, context, candidates, found)


@compiled_part
def _difference_bits(search: Search, d_x: int, d_y: int, second: bool) -> float:
    """Return the bits of the difference of a vector to its prediction."""
    x, y = length_of(d_x), length_of(d_y)
    lengths = search.bits[length_context(second, 0, 0), x]
    lengths += search.bits[length_context(second, 1, x), y]
    return float(lengths + x + y)


@compiled_part
def motion_bits(search: Search, block: Block, mode: int, vectors: Int16Array) -> float:
    """Return the bits of a motion of a block: of a candidate if it equals one."""
    choice = matching(block.candidates, block.found, mode, vectors)
    bits = float(search.bits[block.context, choice])
    if choice < MOST_CANDIDATES:
        return bits
    if search.references_count == 2:
        bits += float(search.bits[MODE + block.level, mode])
    else:
        bits += float(search.bits[SINGLE_MODE + block.level, int(mode == NEITHER)])
    for reference in range(2):
        if not uses(mode, reference):
            continue
        second = reference == 1 and mode == BOTH
        x, y = predict_vector(
            block.candidates, block.found, reference, second, vectors, search.times
        )
        d_x, d_y = int(vectors[reference, 0]) - x, int(vectors[reference, 1]) - y
        bits += _difference_bits(search, d_x, d_y, second)
    return bits


@compiled_part
def area_cost(search: Search, area: Area) -> float:
    """Return the cost of a residual.

    Args:
        search: The search, whose `residual` holds it, in 1/64 of an 8-bit level.
        area: The samples that it belongs to.
    """
    rows, columns = area.rows, area.columns
    width = (columns + SIDE - 1) & -SIDE
    cost = 0.0
    for y in range(0, rows, SIDE):
        for v in range(y, y + SIDE):
            line = search.residual[v]
            for x in range(columns if v < rows else 0, width):
                line[x] = 0
            if search.valid.size and v < rows:
                valid = search.valid[area.top + v, area.left :]
                for x in range(columns):
                    if not valid[x]:
                        line[x] = 0
        cost += strip_cost(search.residual[y : y + SIDE], search.strip, width, search.scale / UNIT)
    return cost


@compiled_part
def _unpredicted_cost(search: Search, block: Block) -> float:
    """Return the cost of a block without references: of what differs from its mean, and of that.

    What the block will be filled with is not known before all blocks are.
    """
    top, left, rows, columns = block.area
    total = 0
    for y in range(top, top + rows):
        line = search.target[y, left:]
        for x in range(columns):
            total += int(np.int32(line[x]))
    mean = np.float32(total * UNIT) / np.float32(rows * columns)
    for y in range(rows):
        target, residual = search.target[top + y, left:], search.residual[y]
        for x in range(columns):
            residual[x] = np.float32(np.int32(target[x]) * UNIT) - mean
    return area_cost(search, block.area) + search.price * _MEAN_BITS


@compiled_part
def own_cost(search: Search, block: Block, mode: int, vectors: Int16Array) -> float:
    """Return the cost of the residual of a block, as if it predicted its own samples alone."""
    if mode == NEITHER:
        return _unpredicted_cost(search, block)
    predict_block(search.references, mode, vectors, block.area, search.scratch)
    top, left, rows, columns = block.area
    for y in range(rows):
        target, predicted = search.target[top + y, left:], search.scratch.block[y]
        line = search.residual[y]
        for x in range(columns):
            line[x] = np.float32(np.int32(target[x]) * UNIT - predicted[x])
    return area_cost(search, block.area)
