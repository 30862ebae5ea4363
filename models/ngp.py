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
from nvcodec.models.base import VideoModel
from nvcodec.models.ngp_config import NGPConfig
from nvcodec.models.windows import Window

# Points decoded at a time: what they make on their way stays in the caches.
_PART = 1 << 15


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


class PointSynthesis:
    """Decodes frames of a coordinate network.

    Args:
        model: A fitted model, on the device to decode on.
        dtype: Type the perceptron runs in.
    """

    def __init__(self, model: NGP, dtype: torch.dtype) -> None:
        self.model = model
        self._dtype = dtype

    @torch.inference_mode()
    def __call__(self, index: Tensor) -> Tensor:
        """Decode frames.

        Args:
            index: Frame numbers in the segment, shape (B,), int64.

        Returns:
            As `VideoModel.planes`, float32.
        """
        return self._logits(index).tanh_().mul_(0.5).add_(0.5)

    @torch.inference_mode()
    def levels(self, index: Tensor) -> Tensor:
        """Decode frames to 8-bit samples.

        Args:
            index: Frame numbers in the segment, shape (B,), int64.

        Returns:
            As `VideoModel.planes`, times 255 and rounded to nearest, uint8.
        """
        # The range ends at 0.5 and 255.5, so cutting off the fraction rounds and needs no clamp.
        return self._logits(index).tanh_().mul_(127.5).add_(128.0).to(torch.uint8)

    def _logits(self, index: Tensor) -> Tensor:
        height, width = self.model.config.native_size
        device = next(self.model.parameters()).device
        rows, columns = (
            (torch.arange(count, device=device) + 0.5) / count for count in (height, width)
        )
        index = index.to(device)
        made = torch.empty(len(index), self.model.config.colour.channels, height, width)
        made = made.to(device)
        count = max(1, _PART // width)  # rows of a part
        frames = max(1, count // height)
        with torch.autocast(device.type, self._dtype, enabled=self._dtype is not torch.float32):
            for first in range(0, len(index), frames):
                some = index[first : first + frames]
                for top in range(0, height, count):
                    part = self.model.logits(some, rows[top : top + count], columns)
                    made[first : first + frames, :, top : top + count] = part
        return made
