"""Hierarchical block matching: whole-sample displacements of blocks of every level."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nvcodec.host.compiled import compiled, compiled_part
from nvcodec.media import UInt8Array
from nvcodec.models.latentgrid.motion.grids import LEVELS

_COARSE_RANGE = 12  # samples of the coarsest picture, each way
_FINE_RANGE = 2


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


@compiled_part
def _difference(
    target: UInt8Array,
    source: UInt8Array,
    top: int,
    left: int,
    side: int,
    y: int,
    x: int,
    limit: int,
) -> int:
    """Return the sum of absolute differences of a block and a displaced one."""
    height, width = target.shape
    bottom, right = min(top + side, height), min(left + side, width)
    total = 0
    inside = left + x >= 0 and right + x <= width
    for row in range(top, bottom):
        a = target[row]
        b = source[min(max(row + y, 0), height - 1)]
        part = 0
        if inside:
            for column in range(left, right):
                part += abs(np.int32(a[column]) - np.int32(b[column + x]))
        else:
            for column in range(left, right):
                part += abs(np.int32(a[column]) - np.int32(b[min(max(column + x, 0), width - 1)]))
        total += part
        if total >= limit:
            break
    return total


@compiled_part
def _rate(y: int, x: int, near_y: int, near_x: int) -> int:
    """Return about the bits of the difference of two displacements."""
    bits, magnitude = 2, abs(y - near_y)
    while magnitude:
        magnitude >>= 1
        bits += 2
    magnitude = abs(x - near_x)
    while magnitude:
        magnitude >>= 1
        bits += 2
    return bits


@compiled
def _match_level(
    target: UInt8Array,
    source: UInt8Array,
    side: int,
    reach: int,
    coarser: npt.NDArray[np.int32],
    carried: npt.NDArray[np.int32],
    price: float,
    found: npt.NDArray[np.int32],
) -> None:
    """Match the blocks of a level at its own resolution.

    Args:
        target, source: Pictures at that resolution.
        side: Side of a block there.
        reach: Samples around the best start that are searched.
        coarser: Displacements of the next coarser level, in samples of this resolution.
        carried: A further start for every block, the same unit.
        price: Cost of a bit, in absolute differences.
        found: Filled, shape (rows, columns, 2), x first.
    """
    rows, columns, _ = found.shape
    starts = np.zeros((12, 2), np.int64)
    for row in range(rows):
        for column in range(columns):
            count = 2
            starts[0] = 0
            starts[1, 0], starts[1, 1] = carried[row, column, 1], carried[row, column, 0]
            if coarser.size:
                for dy in range(-1, 2):
                    for dx in range(-1, 2):
                        if dy and dx:
                            continue
                        y = min(max((row >> 1) + dy, 0), coarser.shape[0] - 1)
                        x = min(max((column >> 1) + dx, 0), coarser.shape[1] - 1)
                        starts[count, 0], starts[count, 1] = coarser[y, x, 1], coarser[y, x, 0]
                        count += 1
            if column:
                starts[count, 0], starts[count, 1] = (
                    found[row, column - 1, 1],
                    found[row, column - 1, 0],
                )
                count += 1
            if row:
                starts[count, 0], starts[count, 1] = (
                    found[row - 1, column, 1],
                    found[row - 1, column, 0],
                )
                count += 1
            near_y, near_x = starts[0]
            if coarser.size:
                near_y, near_x = starts[2]
            elif column:
                near_y, near_x = starts[count - 1]
            best, best_y, best_x = 1 << 30, 0, 0
            top, left = row * side, column * side
            for start in range(count):
                y, x = starts[start]
                offset = int(price * _rate(y, x, near_y, near_x))
                cost = offset + _difference(target, source, top, left, side, y, x, best - offset)
                if cost < best:
                    best, best_y, best_x = cost, y, x
            if reach > 4:
                for y in range(-reach, reach + 1):
                    for x in range(-reach, reach + 1):
                        offset = int(price * _rate(y, x, near_y, near_x))
                        cost = offset + _difference(
                            target, source, top, left, side, y, x, best - offset
                        )
                        if cost < best:
                            best, best_y, best_x = cost, y, x
            else:
                centre_y, centre_x = best_y, best_x
                for y in range(centre_y - reach, centre_y + reach + 1):
                    for x in range(centre_x - reach, centre_x + reach + 1):
                        offset = int(price * _rate(y, x, near_y, near_x))
                        cost = offset + _difference(
                            target, source, top, left, side, y, x, best - offset
                        )
                        if cost < best:
                            best, best_y, best_x = cost, y, x
            found[row, column, 0], found[row, column, 1] = best_x, best_y


@compiled
def _refine_level(
    target: UInt8Array,
    source: UInt8Array,
    side: int,
    step: int,
    price: float,
    found: npt.NDArray[np.int32],
) -> None:
    """Refine displacements at full size, by ever smaller steps."""
    rows, columns, _ = found.shape
    for row in range(rows):
        for column in range(columns):
            best_x, best_y = int(found[row, column, 0]), int(found[row, column, 1])
            near_x, near_y = best_x, best_y
            if column:
                near_x, near_y = int(found[row, column - 1, 0]), int(found[row, column - 1, 1])
            top, left = row * side, column * side
            best = int(price * _rate(best_y, best_x, near_y, near_x))
            best += _difference(target, source, top, left, side, best_y, best_x, 1 << 30)
            distance = step
            while distance:
                centre_y, centre_x = best_y, best_x
                for dy in range(-1, 2):
                    for dx in range(-1, 2):
                        if dy == 0 and dx == 0:
                            continue
                        y, x = centre_y + dy * distance, centre_x + dx * distance
                        offset = int(price * _rate(y, x, near_y, near_x))
                        cost = offset + _difference(
                            target, source, top, left, side, y, x, best - offset
                        )
                        if cost < best:
                            best, best_y, best_x = cost, y, x
                distance >>= 1
            found[row, column, 0], found[row, column, 1] = best_x, best_y


def match_blocks(
    target: list[UInt8Array],
    source: list[UInt8Array],
    cell: int,
    grid_size: tuple[int, int],
    carried: npt.NDArray[np.int16],
    step: float,
) -> npt.NDArray[np.int16]:
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
    for level in range(LEVELS - 1, -1, -1):
        rows, columns = (-(-side // (1 << level)) for side in grid_size)
        found = np.zeros((rows, columns, 2), np.int32)
        half = (1 << level) >> 1
        middle = carried[half :: 1 << level, half :: 1 << level]
        starts = np.zeros((rows, columns, 2), np.int32)
        starts[: middle.shape[0], : middle.shape[1]] = middle.astype(np.int32) // (4 << level)
        # Averages over 2^n x 2^n samples differ less than samples: a bit costs as much less.
        price = 0.4 * step
        _match_level(
            target[level], source[level], cell, _COARSE_RANGE if level == LEVELS - 1 else _FINE_RANGE,
            2 * coarser, starts, price, found,
        )  # fmt: skip
        coarser = found
        full = found << level
        _refine_level(target[0], source[0], cell << level, half, price, full)
        result[level, :rows, :columns] = np.clip(4 * full, -8191, 8191)
    return result
