"""Candidates for the motion of a block: that of its neighbours, and that carried over in time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nvcodec.host.compiled import compiled_part
from nvcodec.media import Int16Array, UInt8Array
from nvcodec.models.latentgrid.motion.grids import (
    BOTH,
    FIRST,
    NOT_CODED,
    SECOND,
    copy_vectors,
    same_vectors,
)
from nvcodec.models.latentgrid.motion.temporal import scaled

MOST_CANDIDATES = 5


@compiled_part
def _add(
    mode: int, vector: Int16Array, count: int, out_modes: UInt8Array, out_vectors: Int16Array
) -> int:
    """Append a candidate unless it is there already; return the new number of candidates."""
    if count == MOST_CANDIDATES or mode == NOT_CODED:
        return count
    for known in range(count):
        if out_modes[known] == mode and same_vectors(out_vectors[known], vector):
            return count
    out_modes[count] = mode
    copy_vectors(vector, out_vectors[count])
    return count + 1


@compiled_part
def find_candidates(
    modes: UInt8Array,
    vectors: Int16Array,
    carried_modes: UInt8Array,
    carried_vectors: Int16Array,
    row: int,
    column: int,
    level: int,
    references: int,
    out_modes: UInt8Array,
    out_vectors: Int16Array,
) -> int:
    """Find the candidates of a block.

    Args:
        modes, vectors: Motion of the frame as far as it is coded.
        carried_modes, carried_vectors: Carried motion, shape (2, h, w) and (2, h, w, 2, 2).
        row, column: First cell of the block.
        level: Its level.
        references: Number of references of the frame.
        out_modes, out_vectors: Filled with up to five candidates, shape (5,) and (5, 2, 2).

    Returns:
        Their number, at least 1.
    """
    height, width = modes.shape
    bottom = min(row + (1 << level), height) - 1
    right = min(column + (1 << level), width) - 1
    middle_y, middle_x = (row + bottom) // 2, (column + right) // 2
    count = 0
    # Left, above, above to the right, carried over from each reference, above to the left.
    for place in range(6):
        if place == 3 or place == 4:
            carried = carried_modes[place - 3, middle_y, middle_x]
            vector = carried_vectors[place - 3, middle_y, middle_x]
            count = _add(int(carried), vector, count, out_modes, out_vectors)
            continue
        y = bottom if place == 0 else row - 1
        x = column - 1
        if place == 1:
            x = right
        elif place == 2:
            x = right + 1
        if y >= 0 and 0 <= x < width:
            count = _add(int(modes[y, x]), vectors[y, x], count, out_modes, out_vectors)
    still = np.zeros((2, 2), np.int16)
    return _add(BOTH if references == 2 else FIRST, still, count, out_modes, out_vectors)


@compiled_part
def predict_vector(
    reference: int,
    modes: UInt8Array,
    vectors: Int16Array,
    count: int,
    known: bool,
    x: int,
    y: int,
    times: npt.NDArray[np.int64],
) -> tuple[int, int]:
    """Predict the vector of a block to one of its references.

    Args:
        reference: Number of the reference, 0 or 1.
        modes, vectors: The block's candidates.
        count: Their number.
        known: Whether the block also has a vector to reference 0, which is known.
        x, y: That vector.
        times: Distance from the frame to each reference.

    Returns:
        Horizontal and vertical displacement, quarters of a luma sample.
    """
    other = SECOND if reference == 0 else FIRST
    for number in range(count):
        if known:
            # A candidate that agrees about reference 0 should be right about reference 1.
            agrees = vectors[number, 0, 0] == x and vectors[number, 0, 1] == y
            if modes[number] == BOTH and agrees:
                return int(vectors[number, 1, 0]), int(vectors[number, 1, 1])
        elif modes[number] != other:
            return int(vectors[number, reference, 0]), int(vectors[number, reference, 1])
    if known:
        return scaled(x, times[1], times[0]), scaled(y, times[1], times[0])
    return 0, 0
