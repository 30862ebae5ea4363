"""Hierarchical block matching: whole-sample displacements of blocks of every level.

The blocks of level n are matched in a picture that is halved n times, where they all have the size
of a cell, from coarse to fine. Then each is refined at full size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nvcodec.host.compiled import compiled, compiled_part
from nvcodec.media import Int16Array, Int32Array, UInt8Array
from nvcodec.models.latentgrid.motion.grids import LARGEST_VECTOR, LEVELS, VECTOR_UNITS

# Blocks of this level and above are searched without a start, samples of their resolution each way;
# those below around the best of several starts.
_COARSE_LEVEL, _COARSE_REACH = 2, 12
_FINE_REACH = 2
# Cost of a bit, in absolute differences per quantisation step.
_PRICE = 0.4
_MOST_STARTS = 9


class _Matching(NamedTuple):
    """A frame and a reference that its blocks are matched with.

    Attributes:
        target: The frame, uint8, shape (H, W).
        source: The reference, same shape.
        side: Side of a block, samples.
        price: Cost of a bit, in absolute differences.
    """

    target: UInt8Array
    source: UInt8Array
    side: int
    price: float


class _Place(NamedTuple):
    """A block, and the displacement that costs least bits.

    Attributes:
        top: Row of its first sample.
        left: Column of its first sample.
        near_y: Vertical displacement of a neighbour.
        near_x: Horizontal displacement of a neighbour.
    """

    top: int
    left: int
    near_y: int
    near_x: int


def picture_pyramid(luma: UInt8Array) -> list[UInt8Array]:
    """Return a picture and its halvings, the full size first.

    Args:
        luma: Shape (H, W).
    """
    pyramid = [np.ascontiguousarray(luma)]
    for _ in range(LEVELS - 1):
        plane = pyramid[-1]
        padded = np.pad(plane, ((0, plane.shape[0] % 2), (0, plane.shape[1] % 2)), "edge")
        wide = padded.astype(np.uint16)
        total = wide[0::2, 0::2] + wide[1::2, 0::2] + wide[0::2, 1::2] + wide[1::2, 1::2]
        pyramid.append(((total + 2) >> 2).astype(np.uint8))
    return pyramid


def match_blocks(
    target: Sequence[UInt8Array],
    source: Sequence[UInt8Array],
    cell: int,
    grid_size: tuple[int, int],
    carried: Int16Array,
    step: float,
) -> Int16Array:
    """Match the blocks of all levels of a frame with a reference.

    Args:
        target: `picture_pyramid` of the frame.
        source: That of the reference.
        cell: Side of a cell, samples.
        grid_size: Height and width in cells.
        carried: Displacements to start from as well, quarters of a sample, shape (h, w, 2).
        step: Quantisation step of luma, 8-bit levels.

    Returns:
        Displacements in quarters of a sample, shape (levels, h, w, 2): at level n those of the
        block at (row, column), which are counted in blocks of that level.
    """
    result = np.zeros((LEVELS, *grid_size, 2), np.int16)
    coarser = np.zeros((0, 0, 2), np.int32)
    price = _PRICE * step
    for level in range(LEVELS - 1, -1, -1):
        rows, columns = (-(-side // (1 << level)) for side in grid_size)
        found = np.zeros((rows, columns, 2), np.int32)
        half = (1 << level) >> 1
        middle = carried[half :: 1 << level, half :: 1 << level]
        starts = np.zeros((rows, columns, 2), np.int32)
        starts[: middle.shape[0], : middle.shape[1]] = middle.astype(np.int32) // (
            VECTOR_UNITS << level
        )
        matching = _Matching(target[level], source[level], cell, price)
        _match_level(matching, 2 * coarser, starts, level >= _COARSE_LEVEL, found)
        coarser = found
        full = found << level
        _refine_level(_Matching(target[0], source[0], cell << level, price), half, full)
        result[level, :rows, :columns] = (VECTOR_UNITS * full).clip(-LARGEST_VECTOR, LARGEST_VECTOR)
    return result


@compiled_part
def _inside(position: int, length: int) -> int:
    """Return a position limited to 0 to length - 1."""
    return min(max(position, 0), length - 1)


@compiled_part
def _difference(matching: _Matching, place: _Place, y: int, x: int, limit: int) -> int:
    """Return the sum of absolute differences of a displaced block, or some number above a limit."""
    height, width = matching.target.shape
    top, left = place.top, place.left
    bottom, right = min(top + matching.side, height), min(left + matching.side, width)
    total = 0
    inside = left + x >= 0 and right + x <= width
    for row in range(top, bottom):
        a = matching.target[row]
        b = matching.source[_inside(row + y, height)]
        part = 0
        if inside:
            for column in range(left, right):
                part += int(abs(np.int32(a[column]) - np.int32(b[column + x])))
        else:
            for column in range(left, right):
                part += int(abs(np.int32(a[column]) - np.int32(b[_inside(column + x, width)])))
        total += part
        if total > limit:
            break
    return total


@compiled_part
def _bits(difference: int) -> int:
    """Return about the bits of the difference of a displacement to that of a neighbour."""
    bits, magnitude = 1, abs(difference)
    while magnitude:
        magnitude >>= 1
        bits += 2
    return bits


@compiled_part
def _cost(matching: _Matching, place: _Place, y: int, x: int, limit: int) -> int:
    """Return the cost of a displacement, or some number above a limit."""
    bits = _bits(y - place.near_y) + _bits(x - place.near_x)
    cost = int(matching.price * bits)
    return cost + _difference(matching, place, y, x, limit - cost)


@compiled_part
def _search_around(
    matching: _Matching,
    place: _Place,
    centre: tuple[int, int],
    reach: int,
    spacing: int,
    best: tuple[int, int, int],
) -> tuple[int, int, int]:
    """Search a square of displacements.

    Args:
        matching: The pictures.
        place: The block.
        centre: Middle of the square, y and x.
        reach: Displacements to each side of it.
        spacing: Distance of displacements, samples.
        best: Cost, y and x of the best displacement so far.

    Returns:
        The same of the best one.
    """
    lowest, best_y, best_x = best
    for row in range(-reach, reach + 1):
        for column in range(-reach, reach + 1):
            y, x = centre[0] + spacing * row, centre[1] + spacing * column
            cost = _cost(matching, place, y, x, lowest)
            if cost < lowest:
                lowest, best_y, best_x = cost, y, x
    return lowest, best_y, best_x


@compiled_part
def _find_starts(
    row: int,
    column: int,
    coarser: Int32Array,
    carried: Int32Array,
    found: Int32Array,
    starts: npt.NDArray[np.int64],
) -> int:
    """Find where to begin the search of a block: first the displacement that it is likely to have.

    Args:
        row: Row of the block.
        column: Its column.
        coarser: Displacements of the coarser level, in samples of this one; empty if there is none.
        carried: Displacements to start from as well.
        found: Displacements of this level so far.
        starts: Filled, y first, shape (9, 2).

    Returns:
        Number of starts.
    """
    count = 0
    if coarser.size:
        for place in range(5):
            y = _inside((row >> 1) + (place == 1) - (place == 2), coarser.shape[0])
            x = _inside((column >> 1) + (place == 3) - (place == 4), coarser.shape[1])
            starts[count, 0], starts[count, 1] = coarser[y, x, 1], coarser[y, x, 0]
            count += 1
    if column:
        left = found[row, column - 1]
        starts[count, 0], starts[count, 1] = left[1], left[0]
        count += 1
    if row:
        above = found[row - 1, column]
        starts[count, 0], starts[count, 1] = above[1], above[0]
        count += 1
    starts[count, 0], starts[count, 1] = 0, 0
    starts[count + 1, 0], starts[count + 1, 1] = carried[row, column, 1], carried[row, column, 0]
    return count + 2


@compiled
def _match_level(
    matching: _Matching,
    coarser: Int32Array,
    carried: Int32Array,
    coarse: bool,
    found: Int32Array,
) -> None:
    """Match the blocks of a level at its own resolution.

    Args:
        matching: The pictures at that resolution.
        coarser: Displacements of the coarser level, in samples of this one; empty if there is none.
        carried: Displacements to start from as well.
        coarse: Whether to search a large square as well.
        found: Filled, shape (rows, columns, 2), x first.
    """
    starts = np.zeros((_MOST_STARTS, 2), np.int64)
    for row in range(found.shape[0]):
        for column in range(found.shape[1]):
            count = _find_starts(row, column, coarser, carried, found, starts)
            place = _Place(
                row * matching.side, column * matching.side, int(starts[0, 0]), int(starts[0, 1])
            )
            best = (1 << 30, 0, 0)
            for number in range(count):
                start = int(starts[number, 0]), int(starts[number, 1])
                best = _search_around(matching, place, start, 0, 1, best)
            if coarse:
                best = _search_around(matching, place, (0, 0), _COARSE_REACH, 1, best)
            best = _search_around(matching, place, (best[1], best[2]), _FINE_REACH, 1, best)
            found[row, column, 0], found[row, column, 1] = best[2], best[1]


@compiled
def _refine_level(matching: _Matching, spacing: int, found: Int32Array) -> None:
    """Refine displacements by ever smaller steps.

    Args:
        matching: The pictures at full size.
        spacing: First step, samples.
        found: Displacements, shape (rows, columns, 2), x first; changed.
    """
    for row in range(found.shape[0]):
        for column in range(found.shape[1]):
            x, y = int(found[row, column, 0]), int(found[row, column, 1])
            near_x, near_y = x, y
            if column:
                near_x, near_y = int(found[row, column - 1, 0]), int(found[row, column - 1, 1])
            place = _Place(row * matching.side, column * matching.side, near_y, near_x)
            best = _search_around(matching, place, (y, x), 0, 1, (1 << 30, y, x))
            distance = spacing
            while distance:
                best = _search_around(matching, place, (best[1], best[2]), 1, distance, best)
                distance >>= 1
            found[row, column, 0], found[row, column, 1] = best[2], best[1]
