"""A coordinate network (Mueller et al., SIGGRAPH 2022) for video: any point, any moment.

    (x, y, t) ─► grids of features, coarse to fine, interpolated ─► perceptron ─► tanh ─► samples

A point of the native grid gives all samples there: R, G and B, or four luma samples and two of
chroma. Grids are the coarser in time the finer they are in space: what is sharp changes slowly.
Most points of a fit, and all of a decoded frame, form lattices, of which `HashGrid.lattice` makes use.
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
    """The coordinate network of a segment."""

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
        self, index: Tensor, window: Window | None = None, found: Tensor | None = None
    ) -> Tensor:
        """See `VideoModel`; the window may skip rows and columns."""
        height, width = self.config.native_size
        window = window or Window(0, 0, height, width)
        rows, columns = (
            torch.arange(first, last, window.step, device=index.device)
            for first, last in ((window.top, window.bottom), (window.left, window.right))
        )
        logits = self.logits(index, (rows + 0.5) / height, (columns + 0.5) / width)
        return 0.5 * logits.tanh() + 0.5

    def logits(self, times: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """What the perceptron makes of a lattice, before the range.

        Args:
            times: Frame numbers, shape (B,); between two of them is between their moments.
            rows: Shape (h,), from 0 at the upper edge of the picture to 1 at the lower one.
            columns: Shape (w,), likewise.

        Returns:
            Shape (B, channels, h, w), float32.
        """
        moments = times / max(self.config.frames - 1, 1)
        # Not in bfloat16: what lies between two vertices is told by small differences.
        with torch.autocast(times.device.type, enabled=False):
            features = self.grid.lattice((moments, rows, columns))
        made: Tensor = self.mlp(features)
        return made.float().permute(0, 3, 1, 2)

    def transmitted(self) -> list[Tensor]:
        """See `VideoModel`: tables, then weights."""
        return [*self.grid.tables, *super().transmitted()]

    def compile_for_fitting(self) -> None:
        """See `VideoModel`."""
        self.mlp.compile(dynamic=False)
