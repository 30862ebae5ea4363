"""Instant-NGP (Müller et al., SIGGRAPH 2022) for video: a network from points to samples.

    (x, y, t) ─► grids of features, coarse to fine, interpolated ─► perceptron ─► tanh ─► samples

The output for a point of the native grid is all samples there: R, G and B, or four luma samples and
two chroma samples. The finer a grid is in space, the coarser it is in time, because sharp detail
changes slowly. The points of a decoded frame, and most points of a fit, form lattices, for which
`HashGrid.lattice` is faster than point by point.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nvcodec.cuda.grid import HashGrid
from nvcodec.cuda.mlp import FusedMLP
from nvcodec.models.base.video_model import VideoModel
from nvcodec.models.base.windows import Window
from nvcodec.models.ngp.config import NGPConfig


class NGP(VideoModel):
    """The network of Instant-NGP, which represents a segment.

    Attributes:
        grid: Hash grid from points to features.
        mlp: Perceptron from features to samples.
    """

    config: NGPConfig

    def __init__(self, config: NGPConfig) -> None:
        super().__init__(config)
        self.grid = HashGrid(config.levels, config.features, config.log2_entries)
        self.mlp = FusedMLP(
            len(config.levels) * config.features,
            config.colour.channels,
            config.width,
            config.depth,
            "relu",
            "none",
        )

    def render(
        self, index: Tensor, window: Window | None = None, embedding: Tensor | None = None
    ) -> Tensor:
        """Render the points of frames; the window may skip rows and columns."""
        height, width = self.config.native_size
        window = window or Window(0, 0, height, width)
        rows, columns = (
            torch.arange(first, last, window.step, device=index.device)
            for first, last in ((window.top, window.bottom), (window.left, window.right))
        )
        logits = self.logits(index, (rows + 0.5) / height, (columns + 0.5) / width)
        return 0.5 * logits.tanh() + 0.5

    def logits(self, times: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Compute the output of the perceptron for a lattice, before it is mapped to [0, 1].

        Args:
            times: Frame numbers, shape (B,); fractions lie between frames.
            rows: Positions of rows, shape (h,), from 0 at the top edge to 1 at the bottom edge.
            columns: Positions of columns, shape (w,), from 0 at the left edge to 1 at the right.

        Returns:
            Shape (B, channels, h, w), float32.
        """
        moments = times / max(self.config.frames - 1, 1)
        # Not in bfloat16, which cannot represent small differences between points.
        with torch.autocast(times.device.type, enabled=False):
            features = self.grid.lattice((moments, rows, columns))
        logits: Tensor = self.mlp(features)
        return logits.float().permute(0, 3, 1, 2)

    def transmitted(self) -> list[Tensor]:
        """Return the tables of the grid, then the weights of the perceptron."""
        return [*self.grid.tables, *super().transmitted()]

    def compile_for_fitting(self) -> None:
        """Compile the perceptron with `torch.compile`."""
        self.mlp.compile(dynamic=False)
