"""NeRV++ (Ghorbel, Hamidouche and Morin, 2024): separable residual blocks around the upsampler.

    t / N ─► positional encoding ─► gated linear ─► linear ─► reshape to a grid

    stage  1x1 ─┬─► gated depthwise block ─► 3x3 conv ─► pixel shuffle ─► SiLU ─► depthwise block ─► +
                └──────────────────────── bilinear upsampling ────────────────────────────────────► +

The bilinear way around a stage leaves to its convolutions what interpolation cannot do, and blocks
that look around cost little, as each channel looks for itself.
"""

from __future__ import annotations

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from nvcodec.models.nervpp.config import NeRVPPConfig
from nvcodec.models.stacks.blocks import ACTIVATIONS, BlockStack, ShuffleConv
from nvcodec.models.stacks.depthwise import depthwise
from nvcodec.models.stacks.layer_config import Layer
from nvcodec.models.stacks.model import StackModel
from nvcodec.models.stacks.positional_encoding import encoding


class NeRVPP(StackModel):
    """NeRV++'s network."""

    config: NeRVPPConfig

    def __init__(self, config: NeRVPPConfig) -> None:
        super().__init__(config)
        hidden, spread = config.front()
        self.hidden = nn.Linear(hidden.inputs, hidden.outputs)
        self.spread = nn.Linear(spread.inputs, spread.outputs)
        blocks = config.blocks()
        self.stack = BlockStack(
            [Stage(layers, "sine" if config.boosted else "silu") for layers in blocks],
            [layers[-1].made[0] for layers in blocks],
            config.head(),
            config.time_width,
        )

    def embed(self, index: Tensor) -> Tensor:
        """The grid for a frame's normalised time; see `StackModel`."""
        config = self.config
        code = encoding(index, config.frames, config.levels, config.base)
        gate, value = self.hidden(code.to(self.hidden.weight.dtype)).chunk(2, dim=1)
        grid: Tensor = self.spread(F.silu(gate) * value)
        return grid.view(len(index), -1, *config.grid)


class Stage(nn.Module):
    """A stage; see the top of the file.

    Args:
        layers: As `nervpp_config.stage` lists them.
        activation: Behind the pixel shuffle.
    """

    def __init__(self, layers: tuple[Layer, ...], activation: str) -> None:
        super().__init__()
        project, widen, look, narrow, upsample, refine, first, second = layers
        self.project = _pointwise(project)
        self.widen = _pointwise(widen)
        self.look = _depthwise(look)
        self.narrow = _pointwise(narrow)
        self.upsample = ShuffleConv(upsample)
        self.refine = _depthwise(refine)
        self.first = _pointwise(first)
        self.second = _pointwise(second)
        self.activation = ACTIVATIONS[activation]
        # The way around the upsampler begins as a faithful one, and what follows it as nothing.
        nn.init.orthogonal_(self.project.weight)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(cast(Tensor, self.second.bias))

    def forward(self, x: Tensor) -> Tensor:
        """From shape (B, C, h, w) to (B, C', h * s, w * s)."""
        x = self.project(x)
        y = self.activation(self.upsample(x + self._gated(x)))
        y = y + self.second(F.gelu(self.first(_looked(y, self.refine))))
        scale = self.upsample.upscale
        if scale > 1:
            x = F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)
        made: Tensor = x + y
        return made

    def _gated(self, x: Tensor) -> Tensor:
        """Some channels of a wide layer look around, and all are gated by as many others."""
        width = x.shape[1]
        gate, value = self.widen(x).chunk(2, dim=1)
        gate = F.silu(gate)
        around = _looked(value[:, :width], self.look) * gate[:, :width]
        # As two narrow products, where joining the parts would copy all of them.
        weight, bias = (cast(Tensor, getattr(self.narrow, name)) for name in ("weight", "bias"))
        gated = F.conv2d(around, weight[:, :width], bias)
        if value.shape[1] > width:
            rest = value[:, width:] * gate[:, width:]
            gated = gated + F.conv2d(rest, weight[:, width:])
        return gated


def _pointwise(layer: Layer) -> nn.Conv2d:
    return nn.Conv2d(layer.inputs, layer.outputs, 1)


def _depthwise(layer: Layer) -> nn.Conv2d:
    reach = layer.kernel // 2
    return nn.Conv2d(layer.inputs, layer.outputs, layer.kernel, padding=reach, groups=layer.groups)


def _looked(x: Tensor, convolution: nn.Conv2d) -> Tensor:
    """A depthwise convolution; its weights may be plain tensors while they are quantised."""
    weight, bias = (cast(Tensor, getattr(convolution, name)) for name in ("weight", "bias"))
    return depthwise(x, weight, bias)
