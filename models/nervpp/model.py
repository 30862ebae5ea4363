"""NeRV++ (Ghorbel, Hamidouche and Morin, 2024): separable residual blocks around the upsampler.

    t / N ─► positional encoding ─► gated linear ─► linear ─► reshape to a grid

    stage  1x1 ─┬─► gated depthwise block ─► 3x3 conv ─► pixel shuffle ─► SiLU ─► depthwise block ─► +
                └──────────────────────── bilinear upsampling ────────────────────────────────────► +

The convolutions of a stage only contribute what bilinear interpolation cannot. The residual blocks
have large kernels at little cost, because their convolutions are depthwise.
"""

from __future__ import annotations

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from nvcodec.models.nervpp.config import NeRVPPConfig
from nvcodec.models.stacks.blocks import ACTIVATIONS, BlockStack, ShuffleConv
from nvcodec.models.stacks.depthwise import depthwise
from nvcodec.models.stacks.layer_config import LayerSpec
from nvcodec.models.stacks.model import StackModel
from nvcodec.models.stacks.positional_encoding import encoding


class NeRVPP(StackModel):
    """The network of NeRV++."""

    config: NeRVPPConfig

    def __init__(self, config: NeRVPPConfig) -> None:
        super().__init__(config)
        hidden, spread = config.front()
        self.hidden = nn.Linear(hidden.inputs, hidden.outputs)
        self.spread = nn.Linear(spread.inputs, spread.outputs)
        blocks = config.blocks()
        self.stack = BlockStack(
            [NeRVPPStage(layers, "sine" if config.boosted else "silu") for layers in blocks],
            [layers[-1].output_shape[0] for layers in blocks],
            config.head(),
            config.time_width,
        )

    def embed(self, index: Tensor) -> Tensor:
        """Compute the grid of a frame from the positional encoding of its time."""
        config = self.config
        code = encoding(index, config.frames, config.levels, config.base)
        gate, value = self.hidden(code.to(self.hidden.weight.dtype)).chunk(2, dim=1)
        grid: Tensor = self.spread(F.silu(gate) * value)
        return grid.view(len(index), -1, *config.grid)


class NeRVPPStage(nn.Module):
    """A stage of NeRV++; the docstring of this module shows its structure.

    Args:
        layers: Layers in the order of `nvcodec.models.nervpp.config.residual_stage_layers`.
        activation: Activation behind the pixel shuffle, a key of `ACTIVATIONS`.
    """

    def __init__(self, layers: tuple[LayerSpec, ...], activation: str) -> None:
        super().__init__()
        project, widen, spatial, narrow, upsample, refine, first, second = layers
        self.project = _pointwise(project)
        self.widen = _pointwise(widen)
        self.spatial = _depthwise(spatial)
        self.narrow = _pointwise(narrow)
        self.upsample = ShuffleConv(upsample)
        self.refine = _depthwise(refine)
        self.first = _pointwise(first)
        self.second = _pointwise(second)
        self.activation = ACTIVATIONS[activation]
        # Initially, the skip connection preserves all information and the last block adds nothing.
        nn.init.orthogonal_(self.project.weight)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(cast(Tensor, self.second.bias))

    def forward(self, x: Tensor) -> Tensor:
        """Upsample features from shape (B, C, h, w) to (B, C', h * s, w * s)."""
        x = self.project(x)
        y = self.activation(self.upsample(x + self._gated(x)))
        y = y + self.second(F.gelu(self.first(_convolve_depthwise(y, self.refine))))
        scale = self.upsample.upscale
        if scale > 1:
            x = F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)
        upsampled: Tensor = x + y
        return upsampled

    def _gated(self, x: Tensor) -> Tensor:
        """Apply the gated block, shape (B, C, h, w) in and out.

        The first channels of the wide layer pass a depthwise convolution; all channels are
        multiplied by gates.
        """
        width = x.shape[1]
        gate, value = self.widen(x).chunk(2, dim=1)
        gate = F.silu(gate)
        filtered = _convolve_depthwise(value[:, :width], self.spatial) * gate[:, :width]
        # Two narrow products, because concatenating the parts would copy all of them.
        weight, bias = (cast(Tensor, getattr(self.narrow, name)) for name in ("weight", "bias"))
        gated = F.conv2d(filtered, weight[:, :width], bias)
        if value.shape[1] > width:
            rest = value[:, width:] * gate[:, width:]
            gated = gated + F.conv2d(rest, weight[:, width:])
        return gated


def _pointwise(layer: LayerSpec) -> nn.Conv2d:
    return nn.Conv2d(layer.inputs, layer.outputs, 1)


def _depthwise(layer: LayerSpec) -> nn.Conv2d:
    reach = layer.kernel // 2
    return nn.Conv2d(layer.inputs, layer.outputs, layer.kernel, padding=reach, groups=layer.groups)


def _convolve_depthwise(x: Tensor, convolution: nn.Conv2d) -> Tensor:
    # `getattr`, because these are plain tensors while weights are quantised.
    weight, bias = (cast(Tensor, getattr(convolution, name)) for name in ("weight", "bias"))
    return depthwise(x, weight, bias)
