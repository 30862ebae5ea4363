"""Optical flow between source frames, averaged over cells: the first estimate of motion fields."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nvcodec.media import UInt8Array
from nvcodec.models.latentgrid.gop import PREVIOUS_SEGMENT

# Smaller pictures are refused by OpenCV.
_LEAST_SIDE = 16


class OpticalFlow:
    """Dense inverse search (Kroeger et al., ECCV 2016) between frames of one segment.

    Args:
        luma: Luma of all frames, uint8, shape (T, H, W).
        cell: Side of a cell, samples.
        previous_frame: Luma of the last frame of the previous segment, shape (H, W); None if the
            segment stands alone.
    """

    def __init__(
        self, luma: UInt8Array, cell: int, previous_frame: UInt8Array | None = None
    ) -> None:
        self._luma = dict(enumerate(luma))
        if previous_frame is not None:
            self._luma[PREVIOUS_SEGMENT] = previous_frame
        self._size, self._cell = luma.shape[1:], cell
        self._cache: dict[tuple[int, int], Tensor] = {}
        self._search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        # The preset stops at half resolution, where small moving objects are lost.
        self._search.setFinestScale(0)

    def between(self, frame: int, other: int) -> Tensor:
        """Return the displacements of a frame's cells to another frame.

        Args:
            frame: Number of the frame.
            other: Number of the other frame.

        Returns:
            Shape (2, h, w), samples, x first.
        """
        if (frame, other) not in self._cache:
            flow = np.zeros((*self._size, 2), np.float32)
            if min(flow.shape[:2]) >= _LEAST_SIDE:
                # `flow` is where the search begins; the result is another array.
                flow = np.asarray(self._search.calc(self._luma[frame], self._luma[other], flow))
            planes = torch.from_numpy(flow).permute(2, 0, 1)[None].contiguous()
            self._cache[frame, other] = cell_means(planes, self._cell)[0]
        return self._cache[frame, other]

    def fields(self, frames: Sequence[int], references: Sequence[tuple[int, ...]]) -> Tensor:
        """Return first estimates of motion fields, with a blending weight k of 0.

        Args:
            frames: Numbers of the frames.
            references: The one or two references of each.

        Returns:
            Shape (B, 5, h, w).
        """
        fields = []
        for frame, frame_references in zip(frames, references, strict=True):
            first = self.between(frame, frame_references[0])
            second = (
                self.between(frame, frame_references[1]) if len(frame_references) > 1 else -first
            )
            mix = torch.zeros_like(first[:1])
            fields.append(torch.cat([(first - second) / 2, (first + second) / 2, mix]))
        return torch.stack(fields)


def cell_means(planes: Tensor, cell: int) -> Tensor:
    """Return means over cells; the border is repeated to fill the last ones.

    Args:
        planes: Shape (B, C, H, W).
        cell: Side of a cell, samples.
    """
    height, width = planes.shape[-2:]
    margin = (0, -width % cell, 0, -height % cell)
    return F.avg_pool2d(F.pad(planes, margin, mode="replicate"), cell)
