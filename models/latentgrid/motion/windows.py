"""Windows of blocks that overlap, and sums of what they weight.

Where blocks overlap, their predictions are blended with windows that fall off linearly across the
border, as in overlapped block motion compensation (Orchard and Sullivan, IEEE Trans. Image
Processing 3(5), 1994). The window of a block reaches half a block beyond its border, but at most
one cell.
"""

from __future__ import annotations

from typing import NamedTuple

from nvcodec.host.compiled import compiled_part
from nvcodec.media import Int32Array
from nvcodec.models.latentgrid.motion.block_prediction import Area


class Window(NamedTuple):
    """Where a block has weight in a plane, and how much.

    Attributes:
        area: The samples.
        down: Weight of each row, shape (rows,) or more.
        across: Weight of each column, shape (columns,) or more.
    """

    area: Area
    down: Int32Array
    across: Int32Array


@compiled_part
def overlap_of(side: int, cell: int) -> int:
    """Return how far a block reaches beyond its border, samples."""
    return min(side // 2, cell)


@compiled_part
def open_window(
    size: tuple[int, int], cell: int, row: int, column: int, level: int, weights: Int32Array
) -> Window:
    """Return the window of a block: along each axis its weights rise, stay, and fall.

    Args:
        size: Height and width of the plane.
        cell: Side of a cell in the plane, samples.
        row: Row of the block's first cell.
        column: Column of that cell.
        level: Level of the block.
        weights: Room for weights; the window holds views of it.
    """
    height, width = size
    side = cell << level
    overlap = overlap_of(side, cell)
    length = side + 2 * overlap
    full = 4 * cell
    unit = full // (4 * overlap)
    for k in range(length):
        weights[k] = full
    for k in range(2 * overlap):
        weights[k] = (2 * k + 1) * unit
        weights[length - 1 - k] = (2 * k + 1) * unit
    y, x = row * cell - overlap, column * cell - overlap
    top, left = max(y, 0), max(x, 0)
    area = Area(top, left, min(y + length, height) - top, min(x + length, width) - left)
    return Window(area, weights[top - y :], weights[left - x :])


@compiled_part
def add_block(sums: Int32Array, window: Window, block: Int32Array, sign: int) -> None:
    """Add a prediction, weighted, to the sums of a plane, or take it away.

    Args:
        sums: Weighted sums, shape (H, W).
        window: Where the block has weight.
        block: The prediction there.
        sign: 1 to add, -1 to take away.
    """
    top, left, rows, columns = window.area
    for y in range(rows):
        down, source, target = sign * window.down[y], block[y], sums[top + y, left:]
        for x in range(columns):
            target[x] += down * window.across[x] * source[x]


@compiled_part
def add_weights(totals: Int32Array, window: Window) -> None:
    """Add the weights of a block to those of a plane, shape (H, W)."""
    top, left, rows, columns = window.area
    for y in range(rows):
        down, target = window.down[y], totals[top + y, left:]
        for x in range(columns):
            target[x] += down * window.across[x]
