"""Prediction of whole pictures, all planes of them, and the flow that motion stands for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from nvcodec.media import Float32Array, UInt8Array
from nvcodec.models.latentgrid.motion.block_prediction import (
    CHROMA_FILTERS,
    CHROMA_SHIFT,
    LUMA_FILTERS,
    LUMA_SHIFT,
    References,
    new_scratch,
)
from nvcodec.models.latentgrid.motion.grids import FIRST, SECOND, VECTOR_UNITS, MotionGrid
from nvcodec.models.latentgrid.motion.prediction import predict_plane
from nvcodec.models.latentgrid.picture import Picture


def predict_picture(grid: MotionGrid, references: Sequence[Picture], cell: int) -> Picture:
    """Predict a picture from its references.

    Args:
        grid: Its motion.
        references: One or two pictures, uint8, one frame each.
        cell: Side of a cell, luma samples.

    Returns:
        One frame, float32, 8-bit levels, on the device of the references.
    """
    luma = [reference.luma[0, 0].cpu().numpy() for reference in references]
    device = references[0].luma.device
    chroma = [reference.chroma[0].cpu().numpy() for reference in references]
    # Both sides are compared: a 4:2:0 picture may be one sample wide, as is its chroma.
    halved = luma[0].shape != chroma[0].shape[1:]
    predicted_luma = _predict_plane(grid, luma, cell, False)
    predicted_chroma = np.stack(
        [
            _predict_plane(grid, [planes[number] for planes in chroma], cell, halved)
            for number in range(2)
        ]
    )
    return Picture(
        torch.from_numpy(predicted_luma)[None, None].to(device),
        torch.from_numpy(predicted_chroma)[None].to(device),
    )


def _predict_plane(
    grid: MotionGrid, references: Sequence[UInt8Array], cell: int, halved: bool
) -> Float32Array:
    """Predict one plane; `halved` for chroma of 4:2:0 pictures."""
    result = np.empty(references[0].shape, np.float32)
    shift, filters = (CHROMA_SHIFT, CHROMA_FILTERS) if halved else (LUMA_SHIFT, LUMA_FILTERS)
    planes = References(references[0], references[-1], shift, filters)
    side = cell // 2 if halved else cell
    predict_plane(planes, grid, side, new_scratch(side), result)
    return result


def flow_towards(grid: MotionGrid, side: int, times: tuple[int, int]) -> Tensor:
    """Return the displacements of the cells of a frame to one of its references.

    A block that does not use this reference is taken to move steadily.

    Args:
        grid: Motion of the frame.
        side: Which reference, 0 or 1.
        times: Distance from the frame to each reference, frames.

    Returns:
        Shape (1, 2, h, w), luma samples, x first.
    """
    unused = SECOND if side == 0 else FIRST
    own = grid.vectors[:, :, side].astype(np.float32)
    other = grid.vectors[:, :, 1 - side] * np.float32(times[side] / times[1 - side])
    # Vectors of blocks without references are 0.
    flow = np.where((grid.modes == unused)[..., None], other, own) / VECTOR_UNITS
    return torch.from_numpy(np.moveaxis(flow, -1, 0)[None].astype(np.float32))
