"""HNeRV in plain torch, the baseline of speed: eager, float32, NCHW.

Convolutions, pixel shuffles and GELUs run one module after the other; nothing is fused, reordered
or folded. All weights have the shapes of `nvcodec.models.hnerv.model`, so that the two networks can
share them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nvcodec.models.hnerv.config import HNeRVConfig


class EagerDecoder(nn.Sequential):
    """Decoder: embeddings (B, d, h, w) to frames (B, 3, H, W) in [0, 1].

    Args:
        config: The network.
    """

    def __init__(self, config: HNeRVConfig) -> None:
        layers = config.layers()
        modules: list[nn.Module] = []
        for layer in layers:
            padding = layer.kernel // 2
            modules.append(nn.Conv2d(layer.inputs, layer.outputs, layer.kernel, padding=padding))
            if layer.upscale > 1:
                modules.append(nn.PixelShuffle(layer.upscale))
            if layer is not layers[-1]:
                modules.append(nn.GELU())
        super().__init__(*modules)

    def load(self, weights: Sequence[Tensor]) -> None:
        """Copy weights and biases, given in the order of `config.tensors()`."""
        with torch.no_grad():
            for parameter, weight in zip(self.parameters(), weights, strict=True):
                parameter.copy_(weight)

    def forward(self, x: Tensor) -> Tensor:
        """Decode embeddings."""
        for module in self:
            x = module(x)
        return torch.tanh(x) * 0.5 + 0.5


class EagerEncoder(nn.Sequential):
    """Encoder: frames (B, 3, H, W) to embeddings, by one ConvNeXt block per stage.

    Args:
        config: The network.
        width: Channels of all stages but the last.
    """

    def __init__(self, config: HNeRVConfig, width: int = 64) -> None:
        modules: list[nn.Module] = []
        inputs = 3
        for stage, stride in enumerate(config.strides):
            outputs = config.channels if stage == len(config.strides) - 1 else width
            down = nn.Conv2d(inputs, outputs, stride, stride)
            if stage == 0:
                modules += [down, _Norm(outputs)]
            else:
                modules += [_Norm(inputs), down]
            modules.append(_Block(outputs))
            inputs = outputs
        super().__init__(*modules)


class _Norm(nn.LayerNorm):
    def __init__(self, width: int) -> None:
        super().__init__(width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).contiguous()


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.expand = nn.Linear(width, 4 * width)
        self.project = nn.Linear(4 * width, width)
        self.scale = nn.Parameter(torch.full((width,), 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.scale * self.project(F.gelu(self.expand(y)))
        refined: Tensor = x + y.permute(0, 3, 1, 2)
        return refined
