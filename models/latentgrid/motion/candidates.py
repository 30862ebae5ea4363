"""Candidates for the motion of a block: that of its neighbours, and that carried over in time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nvcodec.host.compiled import compiled_part
from nvcodec.media import Int16Array, UInt8Array
from nvcodec.models.latentgrid.motion.grids import (
    BOTH,
    FIRST,
    NOT_CODED,
    MotionGrid,
    copy_vectors,
    same_vectors,
    uses,
)
from nvcodec.models.latentgrid.motion.temporal import CarriedMotion, scaled

# Part of the bitstream.
MOST_CANDIDATES = 5
_PLACES = 6
_CARRIED = 3  # place of the motion carried over from the first reference


class Candidates(NamedTuple):
    """Room for the candidates of a block.

    Attributes:
        modes: References of each, uint8, shape (5,).
        vectors: Vectors of each, int16, shape (5, 2 references, 2).
    """

    modes: UInt8Array
    vectors: Int16Array


@compiled_part
def new_candidates() -> Candidates:
    """Return room for candidates."""
    return Candidates(
        np.zeros(MOST_CANDIDATES, np.uint8), np.zeros((MOST_CANDIDATES, 2, 2), np.int16)
    )


@compiled_part
def _append(candidates: Candidates, count: int, mode: int, vectors: Int16Array) -> int:
    """Append a candidate unless it is there already; return the new number of candidates."""
    if count == MOST_CANDIDATES or mode == NOT_CODED:
        return count
    if matching(candidates, count, mode, vectors) < MOST_CANDIDATES:
        return count
    candidates.modes[count] = mode
    copy_vectors(vectors, candidates.vectors[count])
    return count + 1


@compiled_part
def matching(candidates: Candidates, count: int, mode: int, vectors: Int16Array) -> int:
    """Return the number of the candidate that equals a motion; 5 if none does."""
    for number in range(count):
        if candidates.modes[number] == mode and same_vectors(candidates.vectors[number], vectors):
            return number
    return MOST_CANDIDATES


@compiled_part
def find_candidates(
    grid: MotionGrid,
    carried: CarriedMotion,
    row: int,
    column: int,
    level: int,
    references: int,
    candidates: Candidates,
) -> int:
    """Find the candidates of a block.

    Args:
        grid: Motion of the frame as far as it is coded.
        carried: Motion that its references suggest.
        row: Row of the block's first cell.
        column: Column of that cell.
        level: Level of the block.
        references: Number of references of the frame.
        candidates: Filled.

    Returns:
        Number of candidates, at least 1.
    """
    height, width = grid.modes.shape
    bottom = min(row + (1 << level), height) - 1
    right = min(column + (1 << level), width) - 1
    middle_y, middle_x = (row + bottom) // 2, (column + right) // 2
    count = 0
    # Left, above, above to the right, carried over from each reference, above to the left.
    for place in range(_PLACES):
        source = place - _CARRIED
        if 0 <= source < 2:
            mode = int(carried.modes[source, middle_y, middle_x])
            vectors = carried.vectors[source, middle_y, middle_x]
            count = _append(candidates, count, mode, vectors)
            continue
        y = bottom if place == 0 else row - 1
        x = column - 1
        if place == 1:
            x = right
        elif place == 2:
            x = right + 1
        if y >= 0 and 0 <= x < width:
            count = _append(candidates, count, int(grid.modes[y, x]), grid.vectors[y, x])
    still = np.zeros((2, 2), np.int16)
    return _append(candidates, count, BOTH if references == 2 else FIRST, still)


@compiled_part
def predict_vector(
    candidates: Candidates,
    count: int,
    reference: int,
    known: bool,
    vectors: Int16Array,
    times: npt.NDArray[np.int64],
) -> tuple[int, int]:
    """Predict the vector of a block to one of its references.

    Args:
        candidates: The block's candidates.
        count: Their number.
        reference: Number of the reference, 0 or 1.
        known: Whether the block also has a vector to reference 0, which is known.
        vectors: The block's vectors as far as they are known, shape (2, 2).
        times: Distance from the frame to each reference.

    Returns:
        Horizontal and vertical displacement, quarters of a luma sample.
    """
    x, y = int(vectors[0, 0]), int(vectors[0, 1])
    for number in range(count):
        vector = candidates.vectors[number]
        if known:
            # A candidate that agrees about reference 0 should be right about reference 1.
            if candidates.modes[number] == BOTH and vector[0, 0] == x and vector[0, 1] == y:
                return int(vector[1, 0]), int(vector[1, 1])
        elif uses(int(candidates.modes[number]), reference):
            return int(vector[reference, 0]), int(vector[reference, 1])
    if known:
        return scaled(x, times[1], times[0]), scaled(y, times[1], times[0])
    return 0, 0
