"""Carried motion: what the motion of a reference suggests for the frame that is predicted from it.

As in the temporal direct mode of H.264, 8.4.1.2.3, vectors are scaled by temporal distance. They
are taken from where the motion comes from rather than from the same place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nvcodec.host.compiled import compiled, compiled_part
from nvcodec.media import Int16Array, UInt8Array
from nvcodec.models.latentgrid.motion.grids import (
    BOTH,
    FIRST,
    LARGEST_VECTOR,
    NEITHER,
    NOT_CODED,
    VECTOR_UNITS,
    MotionGrid,
)


class CarriedMotion(NamedTuple):
    """The motion that both references of a frame suggest for it.

    Attributes:
        modes: References of every cell, uint8, shape (2, h, w); `NOT_CODED` where a reference
            suggests nothing.
        vectors: Its vectors, int16, shape (2, h, w, 2 references, 2).
    """

    modes: UInt8Array
    vectors: Int16Array


class _Distances(NamedTuple):
    """Distances in time, frames.

    Attributes:
        own: From the reference frame to its own first and second reference.
        lead: From the predicted frame to the reference frame.
        targets: From the predicted frame to its first and second reference.
    """

    own: tuple[int, int]
    lead: int
    targets: tuple[int, int]


@compiled_part
def scaled(value: int, numerator: int, denominator: int) -> int:
    """Return value * numerator / denominator, rounded, halves away from 0, at most +-8191."""
    product, divisor = value * numerator, abs(denominator)
    if denominator < 0:
        product = -product
    magnitude = min((2 * abs(product) + divisor) // (2 * divisor), LARGEST_VECTOR)
    return -magnitude if product < 0 else magnitude


@compiled
def _carry(
    grid: MotionGrid,
    preferred: int,
    distances: _Distances,
    count: int,
    cell: int,
    modes: UInt8Array,
    vectors: Int16Array,
) -> None:
    """Fill the motion that a reference suggests.

    Args:
        grid: Motion of the reference.
        preferred: Which of its own references counts, if a block uses both.
        distances: Distances in time.
        count: Number of references of the predicted frame.
        cell: Side of a cell, luma samples.
        modes: Filled except where a cell leads to a block without references, shape (h, w).
        vectors: Filled likewise, shape (h, w, 2, 2).
    """
    height, width = modes.shape
    unit = VECTOR_UNITS * cell
    for y in range(height):
        for x in range(width):
            row, column = y, x
            v_x, v_y, time, mode = 0, 0, 1, NEITHER
            for step in range(2):
                mode = int(grid.modes[row, column])
                if mode == NEITHER:
                    break
                used = preferred if mode == BOTH else (0 if mode == FIRST else 1)
                time = distances.own[used]
                v_x = int(grid.vectors[row, column, used, 0])
                v_y = int(grid.vectors[row, column, used, 1])
                if step == 0:
                    # Where the content of the cell is in the reference frame.
                    moved_y = (2 * scaled(v_y, distances.lead, time) + unit) // (2 * unit)
                    moved_x = (2 * scaled(v_x, distances.lead, time) + unit) // (2 * unit)
                    row = min(max(y + moved_y, 0), height - 1)
                    column = min(max(x + moved_x, 0), width - 1)
            if mode == NEITHER:
                continue
            modes[y, x] = BOTH if count == 2 else FIRST
            for reference in range(count):
                vectors[y, x, reference, 0] = scaled(v_x, distances.targets[reference], time)
                vectors[y, x, reference, 1] = scaled(v_y, distances.targets[reference], time)


def carry_motion(
    frame: int,
    all_references: Mapping[int, Sequence[int]],
    grids: Mapping[int, MotionGrid],
    size: tuple[int, int],
    cell: int,
) -> CarriedMotion:
    """Return the motion that the references of a frame suggest for it.

    Args:
        frame: Number of the frame.
        all_references: References of all frames of the segment.
        grids: Motion of the frames that have references and are coded.
        size: Height and width of the grids.
        cell: Side of a cell, luma samples.
    """
    carried = CarriedMotion(
        np.full((2, *size), NOT_CODED, np.uint8), np.zeros((2, *size, 2, 2), np.int16)
    )
    references = all_references[frame]
    for number, reference in enumerate(references):
        if reference not in grids:
            continue
        own = all_references[reference]
        distances = _Distances(
            own=(own[0] - reference, own[-1] - reference),
            lead=reference - frame,
            targets=(references[0] - frame, references[-1] - frame),
        )
        preferred = 1 if len(own) == 2 and own[1] in references else 0
        _carry(
            grids[reference],
            preferred,
            distances,
            len(references),
            cell,
            carried.modes[number],
            carried.vectors[number],
        )
    return carried
