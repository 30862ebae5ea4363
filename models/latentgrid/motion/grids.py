"""The motion of a frame: a quadtree of blocks, stored on a grid of cells."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nvcodec.host.compiled import compiled_part
from nvcodec.media import Int16Array, UInt8Array

# Part of the bitstream.
LEVELS = 4  # a block has a side of 1, 2, 4 or 8 cells
VECTOR_UNITS = 4  # vectors are in quarters of a luma sample
LARGEST_VECTOR = (1 << 13) - 1
BOTH, FIRST, SECOND, NEITHER = range(4)
"""Modes: the references that a block is predicted from. Without any it is filled from around."""
MODES = 4
NOT_CODED = 255
"""Mode of a cell whose block is not coded yet."""


class MotionGrid(NamedTuple):
    """The motion of a frame, on its cells.

    A block of level n covers 2^n x 2^n cells, aligned at its own size, as far as they lie in the
    picture. All its cells hold the same.

    Attributes:
        levels: Level of the block that each cell belongs to, uint8, shape (h, w), 0 to 3.
        modes: References of the block: `BOTH`, `FIRST`, `SECOND` or `NEITHER`, uint8, shape (h, w).
        vectors: Displacement to each reference, quarters of a luma sample, x first, int16, shape
            (h, w, 2 references, 2). That to a reference that the block does not use is 0.
    """

    levels: UInt8Array
    modes: UInt8Array
    vectors: Int16Array


def empty_grid(size: tuple[int, int]) -> MotionGrid:
    """Return a grid none of whose blocks is coded yet.

    Args:
        size: Height and width in cells.
    """
    levels, modes = np.zeros(size, np.uint8), np.full(size, NOT_CODED, np.uint8)
    return MotionGrid(levels, modes, np.zeros((*size, 2, 2), np.int16))


@compiled_part
def uses(mode: int, reference: int) -> bool:
    """Return whether a block of a mode is predicted from a reference, 0 or 1."""
    return mode == BOTH or mode == (FIRST if reference == 0 else SECOND)


@compiled_part
def copy_vectors(source: Int16Array, target: Int16Array) -> None:
    """Copy the vectors of a block, shape (2, 2)."""
    # Element by element: numba takes seconds to compile an assignment of arrays.
    for reference in range(2):
        for axis in range(2):
            target[reference, axis] = source[reference, axis]


@compiled_part
def same_vectors(a: Int16Array, b: Int16Array) -> bool:
    """Return whether two blocks have the same vectors, shape (2, 2) each."""
    return bool(
        a[0, 0] == b[0, 0] and a[0, 1] == b[0, 1] and a[1, 0] == b[1, 0] and a[1, 1] == b[1, 1]
    )


@compiled_part
def store_block(
    grid: MotionGrid, row: int, column: int, level: int, mode: int, vectors: Int16Array
) -> None:
    """Store the motion of a block in its cells.

    Args:
        grid: The grid.
        row: Row of the block's first cell.
        column: Column of that cell.
        level: Level of the block.
        mode: Its references.
        vectors: Its vectors, shape (2, 2).
    """
    height, width = grid.modes.shape
    for y in range(row, min(row + (1 << level), height)):
        for x in range(column, min(column + (1 << level), width)):
            grid.levels[y, x] = level
            grid.modes[y, x] = mode
            copy_vectors(vectors, grid.vectors[y, x])
