"""Temporal candidates: the motion of a reference frame, carried over to the frame that leans on it.

As in the temporal direct mode of H.264, 8.4.1.2.3, vectors are scaled by temporal distance. They
are taken from where the motion comes from rather than from the same place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from nvcodec.host.compiled import compiled, compiled_part
from nvcodec.media import UInt8Array
from nvcodec.models.latentgrid.motion.grids import (
    BOTH,
    FIRST,
    LARGEST_VECTOR,
    VECTOR_UNITS,
    MotionGrid,
)


@compiled_part
def scaled(value: int, numerator: int, denominator: int) -> int:
    """Return value * numerator / denominator, rounded to nearest, halves away from zero, limited."""
    product, divisor = value * numerator, abs(denominator)
    if denominator < 0:
        product = -product
    magnitude = (2 * abs(product) + divisor) // (2 * divisor)
    magnitude = min(magnitude, LARGEST_VECTOR)
    return -magnitude if product < 0 else magnitude


@compiled
def _carry(
    modes: UInt8Array,
    vectors: npt.NDArray[np.int16],
    side: int,
    times: tuple[int, int],
    lead: int,
    targets: tuple[int, int],
    count: int,
    unit: int,
    out_modes: UInt8Array,
    out_vectors: npt.NDArray[np.int16],
) -> None:
    """Fill the carried motion of every cell.

    Args:
        modes, vectors: Motion of the reference frame.
        side: Which of its references is preferred.
        times: Distance from the reference frame to each of its references, frames.
        lead: Distance from the predicted frame to the reference frame.
        targets: Distance from the predicted frame to each of its references.
        count: Number of these references.
        unit: Side of a cell, quarters of a sample.
        out_modes, out_vectors: Filled.
    """
    height, width = modes.shape
    for y in range(height):
        for x in range(width):
            row, column = y, x
            for step in range(2):
                mode = modes[row, column]
                used = side if mode == BOTH else (0 if mode == FIRST else 1)
                time = times[used]
                v_x, v_y = int(vectors[row, column, used, 0]), int(vectors[row, column, used, 1])
                if step == 0:
                    # The block has moved on by `lead` frames when it is in the reference frame.
                    row = y + (2 * scaled(v_y, lead, time) + unit) // (2 * unit)
                    column = x + (2 * scaled(v_x, lead, time) + unit) // (2 * unit)
                    row, column = min(max(row, 0), height - 1), min(max(column, 0), width - 1)
            out_modes[y, x] = BOTH if count == 2 else FIRST
            for reference in range(count):
                out_vectors[y, x, reference, 0] = scaled(v_x, targets[reference], time)
                out_vectors[y, x, reference, 1] = scaled(v_y, targets[reference], time)


def carried_motion(
    frame: int,
    references: Sequence[int],
    all_references: Mapping[int, Sequence[int]],
    grids: Mapping[int, MotionGrid],
    cell: int,
) -> list[MotionGrid | None]:
    """Return the motion that each reference of a frame suggests for it.

    Args:
        frame: Number of the frame.
        references: Its references.
        all_references: References of all frames of the segment.
        grids: Motion of the frames that have references and are coded.
        cell: Side of a cell, luma samples.

    Returns:
        For each reference a grid, of which only modes and vectors count; None for a reference
        without motion of its own.
    """
    carried: list[MotionGrid | None] = []
    for reference in references:
        grid = grids.get(reference)
        if grid is None:
            carried.append(None)
            continue
        own = all_references[reference]
        result = MotionGrid.empty((grid.modes.shape[0], grid.modes.shape[1]))
        _carry(
            grid.modes,
            grid.vectors,
            1 if len(own) == 2 and own[1] in references else 0,
            (own[0] - reference, own[-1] - reference),
            reference - frame,
            (references[0] - frame, references[-1] - frame),
            len(references),
            VECTOR_UNITS * cell,
            result.modes,
            result.vectors,
        )
        carried.append(result)
    return carried
