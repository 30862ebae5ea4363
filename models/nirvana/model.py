"""NIRVANA (Maiya et al., CVPR 2023): a small network for a group of frames, predicted in time.

    centre of a patch (x, y) ─► sine layers ─► [3x3 conv ─► pixel shuffle ─► GELU] x stages
                                               ─► 3x3 conv ─► tanh ─► the patch in all frames

One pass makes all frames of the group, which is a segment of the stream. The network of the next
group is predicted from these weights: only the quantised differences are stored, which are zero
where nothing changes.
"""

from __future__ import annotations

from math import sqrt
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nvcodec.models.nirvana.config import NirvanaConfig
from nvcodec.models.stacks.layer_config import LayerSpec
from nvcodec.models.stacks.layers import UpsamplingStack
from nvcodec.models.stacks.model import StackModel

# Largest initial change of an angle from the centre to the border of the picture, in radians. SIREN
# (Sitzmann et al., NeurIPS 2020, section 3.2) multiplies all angles by 30. Here that factor is part
# of the weights, so that Adam and quantisation treat them like those of any other layer.
_FREQUENCY = 15.0


def patch_centres(config: NirvanaConfig, device: torch.device) -> Tensor:
    """Return the centre of every patch.

    Args:
        config: Configuration of the network.
        device: Device of the result.

    Returns:
        x and y, from -1 to 1 across the picture, shape (2, h, w).
    """
    rows, columns = (
        (2 * torch.arange(count, device=device) + 1) / count - 1 for count in config.grid
    )
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"))


class Nirvana(StackModel):
    """The network of one group of frames."""

    config: NirvanaConfig

    # Frames are channels of one output, so that there is no picture between two of them.
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
        """Compute the features of every patch, which do not depend on the frames.

        Args:
            index: Frame numbers in the segment; only their device matters.

        Returns:
            Shape (1, C, h, w).
        """
        device = index.device
        x = patch_centres(self.config, device)[None]
        for layer in self.coordinates:
            weight, bias = (cast(Tensor, getattr(layer, name)) for name in ("weight", "bias"))
            # In float32, because angles are large and their rounding errors are noise in the sines.
            with torch.autocast(device.type, enabled=False):
                x = F.conv2d(x, weight, bias).sin()
        return x

    def select_frames(self, output: Tensor, index: Tensor) -> Tensor:
        """Select frames from the output of a pass, which has all frames of the group."""
        frames = output.view(self.config.frames, -1, *output.shape[2:])
        all_frames = torch.arange(len(frames), device=index.device)
        return frames if torch.equal(index, all_frames) else frames[index]


class _GroupStack(UpsamplingStack):
    """A stack with many output channels, which make folding the head unnecessary."""

    def __init__(self, layers: tuple[LayerSpec, ...]) -> None:
        super().__init__(layers, "gelu")
        self.folds_head = False

    def to_samples(self, x: Tensor) -> Tensor:
        # tanh(x) / 2 + 1 / 2 is this sigmoid, which takes a fifth of the time.
        return torch.sigmoid(2 * x.float())
