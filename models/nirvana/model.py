"""NIRVANA (Maiya et al., CVPR 2023): a small network for a group of frames, handed on and on.

    centre of a patch (x, y) ─► sine layers ─► [3x3 conv ─► pixel shuffle ─► GELU] x stages
                                               ─► 3x3 conv ─► tanh ─► the patch in all frames

One pass makes all frames of the group, a segment of the stream. The next group begins with these
weights, and only the quantised differences to them are stored: where nothing changes they are zero.
"""

from __future__ import annotations

from math import sqrt
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nvcodec.models.nirvana.config import NirvanaConfig
from nvcodec.models.stacks.layer_config import Layer
from nvcodec.models.stacks.layers import UpsamplingStack
from nvcodec.models.stacks.model import StackModel

# How far angles turn across the picture at first, radians. SIREN (Sitzmann et al., NeurIPS 2020,
# section 3.2) multiplies all angles by 30; here that is in the weights, which Adam and quantisation
# then treat as those of any other layer.
_FREQUENCY = 15.0


def patch_centres(config: NirvanaConfig, device: torch.device) -> Tensor:
    """Where the centre of every patch is, x and y, from -1 to 1 across the picture, shape (2, h, w)."""
    rows, columns = (
        (2 * torch.arange(count, device=device) + 1) / count - 1 for count in config.grid
    )
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"))


class Nirvana(StackModel):
    """NIRVANA's network of one group."""

    config: NirvanaConfig

    # Its frames are channels: there is nothing between them.
    CONTINUOUS = False

    def __init__(self, config: NirvanaConfig) -> None:
        super().__init__(config)
        self.coordinates = nn.ModuleList(
            nn.Conv2d(layer.inputs, layer.outputs, 1) for layer in config.front()
        )
        with torch.no_grad():
            for number, layer in enumerate(self.coordinates):
                reach = _FREQUENCY if number == 0 else sqrt(6 / config.widths[0])
                cast(Tensor, layer.weight).uniform_(-reach, reach)
        stages = (layer for (layer,) in config.blocks())
        self.stack = _GroupStack((*stages, config.head()))

    def embed(self, index: Tensor) -> Tensor:
        """What the coordinate network makes of every patch, whichever frames are asked for.

        Returns:
            Shape (1, C, h, w).
        """
        device = index.device
        x = patch_centres(self.config, device)[None]
        for layer in self.coordinates:
            weight, bias = (cast(Tensor, getattr(layer, name)) for name in ("weight", "bias"))
            # In float32: angles are large, and what is rounded off them is noise.
            with torch.autocast(device.type, enabled=False):
                x = F.conv2d(x, weight, bias).sin()
        return x

    def pick(self, made: Tensor, index: Tensor) -> Tensor:
        """Some frames of all that a pass makes; see `StackModel`."""
        frames = made.view(self.config.frames, -1, *made.shape[2:])
        everything = torch.arange(len(frames), device=index.device)
        return frames if torch.equal(index, everything) else frames[index]


class _GroupStack(UpsamplingStack):
    """A stack whose head has many channels: they share the work as it is, without folding.

    Its range is computed as the sigmoid it is, at a fifth of the time that tanh takes.
    """

    def __init__(self, layers: tuple[Layer, ...]) -> None:
        super().__init__(layers, "gelu")
        self.folds_head = False

    def ranged(self, x: Tensor) -> Tensor:
        return torch.sigmoid(2 * x.float())
