"""NeRV (Chen et al., NeurIPS 2021): a frame's index is all it takes.

    t / N ─► positional encoding ─► linear ─► SiLU ─► linear ─► SiLU ─► reshape to a grid
                 [3x3 conv ─► pixel shuffle s ─► SiLU] x stages ─► 1x1 conv ─► tanh

The whole video is in the weights; nothing is stored per frame.
"""

from __future__ import annotations

from math import pi

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nvcodec.models.base import VideoModel
from nvcodec.models.layers import UpsamplingStack
from nvcodec.models.nerv_config import NeRVConfig


class NeRV(VideoModel):
    """NeRV's network."""

    config: NeRVConfig

    def __init__(self, config: NeRVConfig) -> None:
        super().__init__(config)
        hidden, spread, *stages = config.layers()
        self.hidden = nn.Linear(hidden.inputs, hidden.outputs)
        self.spread = nn.Linear(spread.inputs, spread.outputs)
        self.stack = UpsamplingStack(tuple(stages), "silu")

    def embed(self, index: Tensor) -> Tensor:
        """The grid for a frame's normalised time; see `VideoModel`."""
        code = self.encoding(index).to(self.hidden.weight.dtype)
        grid = F.silu(self.spread(F.silu(self.hidden(code))))
        return grid.view(len(index), -1, *self.config.grid)

    def encoding(self, index: Tensor) -> Tensor:
        """Sines and cosines of pi * base**i * t, with t = index / frames (section 3.1).

        Args:
            index: Frame numbers, shape (B,), int64.

        Returns:
            Shape (B, 2 * levels), float32: sine and cosine of each frequency in turn.
        """
        # In double precision: the highest frequency turns thousands of times over a segment.
        levels = torch.arange(self.config.levels, device=index.device, dtype=torch.float64)
        frequencies = pi * (self.config.base / 100) ** levels
        angles = (index.double() / self.config.frames)[:, None] * frequencies
        return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1).float()
