"""NeRV (Chen et al., NeurIPS 2021): a network from the index of a frame to the frame.

    t / N ─► positional encoding ─► linear ─► SiLU ─► linear ─► SiLU ─► reshape to a grid
                 [3x3 conv ─► pixel shuffle s ─► SiLU] x stages ─► 1x1 conv ─► tanh

The weights store the whole segment; nothing is stored per frame.
"""

from __future__ import annotations

from torch import Tensor

from nvcodec.cuda.mlp import FusedMLP
from nvcodec.models.nerv.config import NeRVConfig
from nvcodec.models.stacks.blocks import plain_stack
from nvcodec.models.stacks.model import StackModel
from nvcodec.models.stacks.positional_encoding import encoding


class NeRV(StackModel):
    """The network of NeRV."""

    config: NeRVConfig

    def __init__(self, config: NeRVConfig) -> None:
        super().__init__(config)
        hidden, spread = config.front()
        self.stem = FusedMLP(
            hidden.inputs, spread.outputs, hidden.outputs, 1, "silu", "silu", bias=True
        )
        self.stack = plain_stack(config, "silu")

    def embed(self, index: Tensor) -> Tensor:
        """Compute the grid of a frame from the positional encoding of its time."""
        config = self.config
        code = encoding(index, config.frames, config.levels, config.base)
        grid: Tensor = self.stem(code)
        return grid.view(len(index), -1, *config.grid)
