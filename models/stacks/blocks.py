"""Stacks of any blocks, boosted or not; plain stacks have a faster form in `layers`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nvcodec.models.base.pixel_shuffle import depth_to_space, phase_first
from nvcodec.models.base.windows import Window
from nvcodec.models.stacks.config import StackConfig
from nvcodec.models.stacks.layer_config import Layer
from nvcodec.models.stacks.layers import UpsamplingStack
from nvcodec.models.stacks.time_conditioning import TemporalAffine

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "silu": F.silu,
    "sine": torch.sin,
}


class BlockStack(nn.Module):
    """Blocks, each followed by what boosting adds, a head, and the output range of NeRV.

    Args:
        blocks: From shape (B, C, h, w) to the next one's.
        widths: Channels that leave each block.
        head: The layer that makes samples.
        time_width: Width of the vector of time that conditions them; 0: none does.

    Attributes:
        stages: Blocks, and what follows them in a boosted stack.
        per_block: How many of these a block comes to.
    """

    def __init__(
        self, blocks: Sequence[nn.Module], widths: Sequence[int], head: Layer, time_width: int
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        self.per_block = 2 if time_width else 1
        for block, width in zip(blocks, widths, strict=True):
            self.stages.append(block)
            if time_width:
                self.stages.append(TemporalAffine(time_width, width))
        self.head = nn.Conv2d(head.inputs, head.outputs, head.kernel, padding=head.kernel // 2)

    def logits(self, x: Tensor, z: Tensor | None = None) -> Tensor:
        """What the head makes, before the range.

        Args:
            x: Shape (B, C, h, w).
            z: What boosted blocks know of time, shape (B, time_width).

        Returns:
            Shape (B, channels, H, W).
        """
        for stage in self.stages:
            x = apply(stage, x, z)
        made: Tensor = self.head(x)
        return made

    def forward(self, x: Tensor, window: Window | None = None, z: Tensor | None = None) -> Tensor:
        """Decode embeddings.

        Args:
            x: Shape (B, C, h, w).
            window: The part of the picture that is wanted; all of it is computed.
            z: What boosted blocks know of time, shape (B, time_width).

        Returns:
            Shape (B, channels, H, W), in [0, 1].
        """
        made = self.logits(x, z)
        if window is not None:
            made = made[:, :, window.top : window.bottom, window.left : window.right]
        # In float32: near 1 a step of bfloat16 is a whole level of an 8-bit sample.
        return torch.tanh(made.float()) * 0.5 + 0.5


def apply(stage: nn.Module, x: Tensor, z: Tensor | None) -> Tensor:
    """What a block, or what follows it in a boosted stack, makes of features."""
    made: Tensor = stage(x, z) if isinstance(stage, TemporalAffine) else stage(x)
    return made


class ShuffleConv(nn.Conv2d):
    """A convolution and a pixel shuffle; weights keep the order of published state dicts.

    Args:
        layer: Its shape and upscale.
    """

    def __init__(self, layer: Layer) -> None:
        super().__init__(layer.inputs, layer.outputs, layer.kernel)
        self.upscale = layer.upscale

    def forward(self, x: Tensor) -> Tensor:
        """From shape (B, C, h, w) to (B, C', h * s, w * s)."""
        # Not self.weight: while weights are quantised these are plain tensors.
        weight, bias = (cast(Tensor, getattr(self, name)) for name in ("weight", "bias"))
        kernel = phase_first(weight, self.upscale)
        y = F.conv2d(x, kernel, phase_first(bias, self.upscale), padding=kernel.shape[-1] // 2)
        return depth_to_space(y, self.upscale)


class ShuffleBlock(nn.Module):
    """A stem or a stage of NeRV and HNeRV: convolution, pixel shuffle, activation."""

    def __init__(self, layer: Layer, activation: str) -> None:
        super().__init__()
        self.convolution = ShuffleConv(layer)
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        """From shape (B, C, h, w) to (B, C', h * s, w * s)."""
        return self.activation(self.convolution(x))


def plain_stack(config: StackConfig, activation: str) -> UpsamplingStack | BlockStack:
    """The stack of a family whose blocks are a convolution each.

    Args:
        config: Its configuration.
        activation: Of the blocks; boosted ones have a sine.
    """
    blocks, head = config.blocks(), config.head()
    if not config.boosted:
        return UpsamplingStack((*(layer for (layer,) in blocks), head), activation)
    return BlockStack(
        [ShuffleBlock(layer, "sine") for (layer,) in blocks],
        [layer.made[0] for (layer,) in blocks],
        head,
        config.time_width,
    )
