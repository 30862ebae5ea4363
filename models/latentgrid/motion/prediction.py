"""Overlapped block motion compensation, in integers.

Every block predicts its own samples and some around it. Where blocks overlap, their predictions are
blended with windows that fall off linearly across the border, as in overlapped block motion
compensation (Orchard and Sullivan, IEEE Trans. Image Processing 3(5), 1994). The window of a block
reaches half a block beyond its border, but at most one cell.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nvcodec.host.compiled import compiled, compiled_part
from nvcodec.media import Float32Array, Int32Array, UInt8Array
from nvcodec.models.latentgrid.motion.grids import BOTH, FIRST, SECOND

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
UNIT = 64  # predictions are in 1/64 of an 8-bit level


@compiled_part
def fetch(
    plane: UInt8Array,
    top: int,
    left: int,
    rows: int,
    columns: int,
    phase_y: int,
    phase_x: int,
    filters: Int32Array,
    samples: Int32Array,
    lines: Int32Array,
    block: Int32Array,
) -> None:
    """Interpolate a block of a plane; beyond its border, the border is repeated.

    Args:
        plane: Samples, shape (H, W).
        top, left: Whole part of the position of the block's first sample.
        rows, columns: Size of the block.
        phase_y, phase_x: Fraction of the position, in eighths.
        filters: `LUMA_FILTERS` or `CHROMA_FILTERS`.
        samples, lines: Room for intermediate results, (rows + 7) x (columns + 7) values each.
        block: Filled with (rows, columns) values, in 1/64 of a level.
    """
    height, width = plane.shape
    first, count = (top - 3, rows + 7) if phase_y else (top, rows)
    start, length = (left - 3, columns + 7) if phase_x else (left, columns)
    inside = start >= 0 and start + length <= width
    for y in range(count):
        row = plane[min(max(first + y, 0), height - 1)]
        target = samples[y]
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
            source, target = samples[y], lines[y]
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
            source, target = samples[y], lines[y]
            for x in range(columns):
                target[x] = 64 * source[x]
    if phase_y:
        taps = filters[phase_y]
        t0, t1, t2, t3, t4, t5, t6, t7 = (
            taps[0], taps[1], taps[2], taps[3], taps[4], taps[5], taps[6], taps[7],
        )  # fmt: skip
        for y in range(rows):
            l0, l1, l2, l3 = lines[y], lines[y + 1], lines[y + 2], lines[y + 3]
            l4, l5, l6, l7 = lines[y + 4], lines[y + 5], lines[y + 6], lines[y + 7]
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
            source, target = lines[y], block[y]
            for x in range(columns):
                target[x] = source[x]


@compiled_part
def window(side: int, overlap: int, full: int, weights: Int32Array) -> None:
    """Fill the weights of a block along one axis: 2 * overlap of them rise, as many fall.

    Args:
        side: Side of the block, samples.
        overlap: Samples that it reaches beyond its border at each end.
        full: Weight in the middle, a multiple of 4 * overlap.
        weights: Filled with side + 2 * overlap values.
    """
    unit = full // (4 * overlap)
    for k in range(side + 2 * overlap):
        weights[k] = full
    for k in range(2 * overlap):
        weights[k] = (2 * k + 1) * unit
        weights[side + 2 * overlap - 1 - k] = (2 * k + 1) * unit


@compiled_part
def predict_block(
    first: UInt8Array,
    second: UInt8Array,
    mode: int,
    vectors: npt.NDArray[np.int16],
    top: int,
    left: int,
    rows: int,
    columns: int,
    shift: int,
    filters: Int32Array,
    samples: Int32Array,
    lines: Int32Array,
    block: Int32Array,
    other: Int32Array,
) -> None:
    """Predict a block from its references.

    Args:
        first, second: Planes of the references, shape (H, W).
        mode: References of the block.
        vectors: Displacements, shape (2 references, 2).
        top, left: Position of the block's first sample in the predicted plane.
        rows, columns: Size of the block.
        shift: Bits of the fraction of displacements in this plane: 2, or 3 for 4:2:0 chroma.
        filters: Interpolation filters.
        samples, lines, other: Room for intermediate results.
        block: Filled with (rows, columns) values, in 1/64 of a level.
    """
    mask, scale = (1 << shift) - 1, 3 - shift
    for reference in range(2):
        if mode == (SECOND if reference == 0 else FIRST):
            continue
        x, y = int(vectors[reference, 0]), int(vectors[reference, 1])
        fetch(
            first if reference == 0 else second,
            top + (y >> shift),
            left + (x >> shift),
            rows,
            columns,
            (y & mask) << scale,
            (x & mask) << scale,
            filters,
            samples,
            lines,
            other if reference == 1 and mode == BOTH else block,
        )
    if mode == BOTH:
        for y in range(rows):
            a, b = block[y], other[y]
            for x in range(columns):
                a[x] = (a[x] + b[x] + 1) >> 1


@compiled
def predict_plane(
    first: UInt8Array,
    second: UInt8Array,
    levels: UInt8Array,
    modes: UInt8Array,
    vectors: npt.NDArray[np.int16],
    cell: int,
    shift: int,
    filters: Int32Array,
    result: Float32Array,
) -> None:
    """Predict a plane from those of its references.

    Args:
        first, second: Planes of the references, shape (H, W); the same twice if there is one.
        levels, modes, vectors: Those of `MotionGrid`.
        cell: Side of a cell in this plane, samples, at least 2.
        shift: Bits of the fraction of displacements in this plane: 2, or 3 for 4:2:0 chroma.
        filters: Interpolation filters.
        result: Filled with the prediction, 8-bit levels, shape (H, W).
    """
    height, width = first.shape
    largest = 10 * cell + 8
    samples = np.empty((largest, largest), np.int32)
    lines, block, other = np.empty_like(samples), np.empty_like(samples), np.empty_like(samples)
    weights = np.empty(largest, np.int32)
    totals = np.zeros((height, width), np.int32)
    sums = np.zeros((height, width), np.int32)
    full = 4 * cell
    for row in range(levels.shape[0]):
        for column in range(levels.shape[1]):
            span = 1 << levels[row, column]
            if row % span or column % span:
                continue
            side = span * cell
            overlap = min(side // 2, cell)
            window(side, overlap, full, weights)
            y0, x0 = row * cell - overlap, column * cell - overlap
            top, left = max(y0, 0), max(x0, 0)
            rows = min(y0 + side + 2 * overlap, height) - top
            columns = min(x0 + side + 2 * overlap, width) - left
            if rows <= 0 or columns <= 0:
                continue
            predict_block(
                first, second, modes[row, column], vectors[row, column], top, left, rows, columns,
                shift, filters, samples, lines, block, other,
            )  # fmt: skip
            across = weights[left - x0 :]
            for y in range(rows):
                down = weights[top - y0 + y]
                source = block[y]
                total, summed = totals[top + y, left:], sums[top + y, left:]
                for x in range(columns):
                    weight = down * across[x]
                    total[x] += weight
                    summed[x] += weight * source[x]
    for y in range(height):
        for x in range(width):
            total = totals[y, x]
            result[y, x] = ((sums[y, x] + (total >> 1)) // total) / 64
