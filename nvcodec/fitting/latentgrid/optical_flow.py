"""Where motion fields begin: classical optical flow between source frames, averaged over cells."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nvcodec.media import UInt8Array
from nvcodec.models.latentgrid.gop import PREVIOUS_SEGMENT

# OpenCV refuses smaller pictures.
_LEAST_SIDE = 16


class FlowField:
    """Dense inverse search (Kroeger et al., ECCV 2016) between frames of one segment.

    Args:
        luma: uint8, shape (T, H, W).
        cell: Side of a cell, samples.
        before: Stands for `PREVIOUS_SEGMENT`, shape (H, W).
    """

    def __init__(self, luma: UInt8Array, cell: int, before: UInt8Array | None = None) -> None:
        self._luma = dict(enumerate(luma))
        if before is not None:
            self._luma[PREVIOUS_SEGMENT] = before
        self._size, self._cell = luma.shape[1:], cell
        self._known: dict[tuple[int, int], Tensor] = {}
        self._search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        # The preset stops at half resolution, where small things that move are lost.
        self._search.setFinestScale(0)

    def between(self, frame: int, other: int) -> Tensor:
        """Where the cells of a frame are found in another, shape (2, h, w), samples, x first."""
        if (frame, other) not in self._known:
            flow = np.zeros((*self._size, 2), np.float32)
            if min(flow.shape[:2]) >= _LEAST_SIDE:
                # Where the search begins, and what it returns.
                flow = np.asarray(self._search.calc(self._luma[frame], self._luma[other], flow))
            planes = torch.from_numpy(flow).permute(2, 0, 1)[None].contiguous()
            self._known[frame, other] = cell_means(planes, self._cell)[0]
        return self._known[frame, other]

    def fields(self, frames: Sequence[int], references: Sequence[tuple[int, ...]]) -> Tensor:
        """First guesses at motion fields, k being 0: shape (B, 5, h, w)."""
        found = []
        for frame, known in zip(frames, references, strict=True):
            first = self.between(frame, known[0])
            second = self.between(frame, known[1]) if len(known) > 1 else -first
            mean = torch.zeros_like(first[:1])
            found.append(torch.cat([(first - second) / 2, (first + second) / 2, mean]))
        return torch.stack(found)


def cell_means(planes: Tensor, cell: int) -> Tensor:
    """Means over cells, the border repeated to fill the last ones.

    Args:
        planes: Shape (B, C, H, W).
        cell: Side of a cell, samples.
    """
    height, width = planes.shape[-2:]
    margin = (0, -width % cell, 0, -height % cell)
    return F.avg_pool2d(F.pad(planes, margin, mode="replicate"), cell)
