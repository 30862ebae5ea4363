"""Prediction of a block: samples of its references, displaced and interpolated in integers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nvcodec.host.compiled import compiled_part
from nvcodec.media import Int16Array, Int32Array, UInt8Array
from nvcodec.models.latentgrid.motion.grids import BOTH, LEVELS, uses

# Interpolation filters, for displacements in eighths of a sample; each sums to 64. Those with eight
# taps serve quarters of a sample, of which the odd eighths are not used.
TAPS = 8
LUMA_FILTERS = np.array(
    [
        [0, 0, 0, 64, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
        [-1, 4, -10, 58, 17, -5, 1, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
        [-1, 4, -11, 40, 40, -11, 4, -1],
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 1, -5, 17, 58, -10, 4, -1],
        [0, 0, 0, 0, 0, 0, 0, 0],
    ],
    np.int32,
)
CHROMA_FILTERS = np.array(
    [
        [0, 0, 0, 64, 0, 0, 0, 0],
        [0, 0, -2, 58, 10, -2, 0, 0],
        [0, 0, -4, 54, 16, -2, 0, 0],
        [0, 0, -6, 46, 28, -4, 0, 0],
        [0, 0, -4, 36, 36, -4, 0, 0],
        [0, 0, -4, 28, 46, -6, 0, 0],
        [0, 0, -2, 16, 54, -4, 0, 0],
        [0, 0, -2, 10, 58, -2, 0, 0],
    ],
    np.int32,
)
_BEFORE = 3  # taps before the sample that a displacement rounds down to
# Bits of the fraction of displacements; in chroma planes of 4:2:0 one sample is two of luma.
LUMA_SHIFT, CHROMA_SHIFT = 2, 3
UNIT = 64  # predictions are in 1/64 of an 8-bit level


class Scratch(NamedTuple):
    """Room for the prediction of a block.

    Attributes:
        samples: Samples of a reference.
        lines: The same, interpolated along x.
        block: The prediction, in 1/64 of a level.
        other: That from the second of two references.
    """

    samples: Int32Array
    lines: Int32Array
    block: Int32Array
    other: Int32Array


class References(NamedTuple):
    """One plane of the references of a frame, and how displacements read on it.

    Attributes:
        first: Plane of the first reference, uint8, shape (H, W).
        second: Plane of the second reference, or that of the only one again.
        shift: Bits of the fraction of displacements in this plane: 2, or 3 for 4:2:0 chroma.
        filters: Interpolation filters, shape (8, 8).
    """

    first: UInt8Array
    second: UInt8Array
    shift: int
    filters: Int32Array


class Area(NamedTuple):
    """A rectangle of a plane: its first row and column, and its size."""

    top: int
    left: int
    rows: int
    columns: int


def new_scratch(cell: int) -> Scratch:
    """Return room for the largest block and what it overlaps with.

    Args:
        cell: Side of a cell in the plane, samples.
    """
    side = (2 + (1 << (LEVELS - 1))) * cell + TAPS
    return Scratch(*(np.empty((side, side), np.int32) for _ in range(4)))


@compiled_part
def _fetch(
    plane: UInt8Array,
    area: Area,
    phase_y: int,
    phase_x: int,
    filters: Int32Array,
    scratch: Scratch,
    block: Int32Array,
) -> None:
    """Interpolate a rectangle of a plane; beyond its border, the border is repeated.

    Args:
        plane: Samples, shape (H, W).
        area: Whole part of the position of the rectangle, and its size.
        phase_y: Vertical fraction of the position, in eighths.
        phase_x: Horizontal fraction of the position, in eighths.
        filters: Interpolation filters.
        scratch: Room for intermediate results.
        block: Filled, 1/64 of a level.
    """
    top, left, rows, columns = area
    height, width = plane.shape
    first, count = (top - _BEFORE, rows + TAPS - 1) if phase_y else (top, rows)
    start, length = (left - _BEFORE, columns + TAPS - 1) if phase_x else (left, columns)
    inside = start >= 0 and start + length <= width
    for y in range(count):
        row = plane[min(max(first + y, 0), height - 1)]
        target = scratch.samples[y]
        if inside:
            for x in range(length):
                target[x] = row[start + x]
        else:
            for x in range(length):
                target[x] = row[min(max(start + x, 0), width - 1)]
    if phase_x:
        taps = filters[phase_x]
        t0, t1, t2, t3, t4, t5, t6, t7 = (
            taps[0], taps[1], taps[2], taps[3], taps[4], taps[5], taps[6], taps[7],
        )  # fmt: skip
        for y in range(count):
            source, target = scratch.samples[y], scratch.lines[y]
            for x in range(columns):
                target[x] = (
                    t0 * source[x]
                    + t1 * source[x + 1]
                    + t2 * source[x + 2]
                    + t3 * source[x + 3]
                    + t4 * source[x + 4]
                    + t5 * source[x + 5]
                    + t6 * source[x + 6]
                    + t7 * source[x + 7]
                )
    else:
        for y in range(count):
            source, target = scratch.samples[y], scratch.lines[y]
            for x in range(columns):
                target[x] = 64 * source[x]
    if phase_y:
        taps = filters[phase_y]
        t0, t1, t2, t3, t4, t5, t6, t7 = (
            taps[0], taps[1], taps[2], taps[3], taps[4], taps[5], taps[6], taps[7],
        )  # fmt: skip
        for y in range(rows):
            l0, l1, l2, l3 = (
                scratch.lines[y],
                scratch.lines[y + 1],
                scratch.lines[y + 2],
                scratch.lines[y + 3],
            )
            l4, l5, l6, l7 = (
                scratch.lines[y + 4],
                scratch.lines[y + 5],
                scratch.lines[y + 6],
                scratch.lines[y + 7],
            )
            target = block[y]
            for x in range(columns):
                target[x] = (
                    t0 * l0[x]
                    + t1 * l1[x]
                    + t2 * l2[x]
                    + t3 * l3[x]
                    + t4 * l4[x]
                    + t5 * l5[x]
                    + t6 * l6[x]
                    + t7 * l7[x]
                    + 32
                ) >> 6
    else:
        for y in range(rows):
            source, target = scratch.lines[y], block[y]
            for x in range(columns):
                target[x] = source[x]


@compiled_part
def predict_block(
    references: References, mode: int, vectors: Int16Array, area: Area, scratch: Scratch
) -> None:
    """Predict a rectangle of a plane, as the block it belongs to is displaced.

    Args:
        references: That plane of the references.
        mode: References of the block, at least one.
        vectors: Its vectors, shape (2, 2).
        area: The rectangle.
        scratch: `block` is filled.
    """
    mask, scale = (1 << references.shift) - 1, 3 - references.shift
    for reference in range(2):
        if not uses(mode, reference):
            continue
        x, y = int(vectors[reference, 0]), int(vectors[reference, 1])
        moved = Area(
            area.top + (y >> references.shift),
            area.left + (x >> references.shift),
            area.rows,
            area.columns,
        )
        _fetch(
            references.first if reference == 0 else references.second,
            moved,
            (y & mask) << scale,
            (x & mask) << scale,
            references.filters,
            scratch,
            scratch.other if reference == 1 and mode == BOTH else scratch.block,
        )
    if mode == BOTH:
        for y in range(area.rows):
            a, b = scratch.block[y], scratch.other[y]
            for x in range(area.columns):
                a[x] = (a[x] + b[x] + 1) >> 1
