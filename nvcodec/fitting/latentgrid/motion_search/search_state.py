"""What the search for the motion of a frame works on, and what a block costs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nvcodec.entropy.motion.contexts import MODE
from nvcodec.entropy.motion.syntax import (
    length_context,
    length_of,
    matching_candidate,
    merge_context,
)
from nvcodec.fitting.latentgrid.motion_search.residual_cost import SIDE, coefficient_cost
from nvcodec.host.compiled import compiled_part
from nvcodec.media import Float32Array, Int16Array, Int32Array, UInt8Array
from nvcodec.models.latentgrid.motion.candidates import (
    MOST_CANDIDATES,
    find_candidates,
    predict_vector,
)
from nvcodec.models.latentgrid.motion.grids import BOTH, FIRST, SECOND
from nvcodec.models.latentgrid.motion.prediction import UNIT, predict_block


class Search(NamedTuple):
    """The search for the motion of a frame.

    Attributes:
        target: Luma of the frame, uint8, shape (H, W).
        first, second: Luma of its references, the only one twice.
        levels, modes, vectors: Its motion so far; see `MotionGrid`.
        carried_modes, carried_vectors: Carried motion; see `MotionCoder.carried`.
        matched: Vectors found by matching, shape (2 references, levels, h, w, 2).
        times: Distance from the frame to each reference.
        bits: Bits of each symbol in each context.
        filters: Interpolation filters.
        costs: `cost_table()`.
        samples, lines, block, other: Room for the prediction of a block.
        residual: Room for 8 x 8 values, float32.
        references: Number of references.
        cell: Side of a cell, samples.
        scale: Quantisation steps per 8-bit level.
        price: Cost of a bit, in squared steps.
    """

    target: UInt8Array
    first: UInt8Array
    second: UInt8Array
    levels: UInt8Array
    modes: UInt8Array
    vectors: Int16Array
    carried_modes: UInt8Array
    carried_vectors: Int16Array
    matched: Int16Array
    times: npt.NDArray[np.int64]
    bits: Float32Array
    filters: Int32Array
    costs: Float32Array
    samples: Int32Array
    lines: Int32Array
    block: Int32Array
    other: Int32Array
    residual: Float32Array
    references: int
    cell: int
    scale: float
    price: float


class Block(NamedTuple):
    """A block under search.

    Attributes:
        level: Its level.
        top, left, rows, columns: The samples that it covers.
        context: Context of its candidate.
        modes, candidates: Its candidates, shape (5,) and (5, 2, 2).
        count: Their number.
    """

    level: int
    top: int
    left: int
    rows: int
    columns: int
    context: int
    modes: UInt8Array
    candidates: Int16Array
    count: int


@compiled_part
def open_block(search: Search, row: int, column: int, level: int) -> Block:
    """Return the block of a level whose first cell is at a row and column."""
    modes = np.zeros(MOST_CANDIDATES, np.uint8)
    candidates = np.zeros((MOST_CANDIDATES, 2, 2), np.int16)
    count = find_candidates(
        search.modes, search.vectors, search.carried_modes, search.carried_vectors, row, column,
        level, search.references, modes, candidates,
    )  # fmt: skip
    context = merge_context(search.modes, search.vectors, row, column, level)
    height, width = search.target.shape
    top, left, side = row * search.cell, column * search.cell, search.cell << level
    rows, columns = min(side, height - top), min(side, width - left)
    return Block(level, top, left, rows, columns, context, modes, candidates, count)


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
    choice = matching_candidate(mode, vectors, block.modes, block.candidates, block.count)
    bits = float(search.bits[block.context, choice])
    if choice < MOST_CANDIDATES:
        return bits
    if search.references == 2:
        bits += search.bits[MODE + block.level, mode]
    for reference in range(2):
        if mode == (SECOND if reference == 0 else FIRST):
            continue
        second = reference == 1 and mode == BOTH
        x, y = predict_vector(
            reference, block.modes, block.candidates, block.count, second, int(vectors[0, 0]),
            int(vectors[0, 1]), search.times,
        )  # fmt: skip
        d_x, d_y = int(vectors[reference, 0]) - x, int(vectors[reference, 1]) - y
        bits += _difference_bits(search, d_x, d_y, second)
    return bits


@compiled_part
def own_cost(search: Search, block: Block, mode: int, vectors: Int16Array) -> float:
    """Return the cost of the residual of a block, as if it predicted its own samples alone."""
    rows, columns = block.rows, block.columns
    predict_block(
        search.first, search.second, mode, vectors, block.top, block.left, rows, columns, 2,
        search.filters, search.samples, search.lines, search.block, search.other,
    )  # fmt: skip
    cost = 0.0
    residual = search.residual
    for y in range(0, rows, SIDE):
        for x in range(0, columns, SIDE):
            inside = min(SIDE, columns - x)
            for v in range(SIDE):
                line = residual[v]
                if inside < SIDE or y + v >= rows:
                    line[:] = 0
                if y + v < rows:
                    target = search.target[block.top + y + v, block.left + x :]
                    predicted = search.block[y + v, x:]
                    for u in range(inside):
                        line[u] = np.float32(np.int32(target[u]) * UNIT - predicted[u])
            cost += coefficient_cost(residual, search.scale / UNIT, search.costs)
    return cost
