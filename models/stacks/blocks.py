"""Stacks of arbitrary blocks, boosted or not; `layers` has a faster form of plain stacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nvcodec.models.base.pixel_shuffle import depth_to_space, phase_first
from nvcodec.models.base.windows import Window
from nvcodec.models.stacks.config import StackConfig
from nvcodec.models.stacks.layer_config import LayerSpec
from nvcodec.models.stacks.layers import UpsamplingStack
from nvcodec.models.stacks.time_conditioning import TemporalAffine

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "silu": F.silu,
    "sine": torch.sin,
}


class BlockStack(nn.Module):
    """A stack of blocks with a head and the output range of NeRV.

    In a boosted stack, a `TemporalAffine` follows every block.

    Args:
        blocks: Modules, each from shape (B, C, h, w) to the input shape of the next one.
        widths: Output channels of each block.
        head: Layer that outputs samples.
        time_width: Width of the time vector that conditions the blocks; 0: not boosted.

    Attributes:
        stages: Blocks, with the `TemporalAffine` of each one behind it in a boosted stack.
        per_block: Number of stages per block, 1 or 2.
    """

    def __init__(
        self, blocks: Sequence[nn.Module], widths: Sequence[int], head: LayerSpec, time_width: int
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
        """Return the output of the head, before it is mapped to [0, 1].

        Args:
            x: Embeddings, shape (B, C, h, w).
            z: Time vectors of a boosted stack, shape (B, time_width).

        Returns:
            Shape (B, channels, H, W).
        """
        for stage in self.stages:
            x = apply_stage(stage, x, z)
        logits: Tensor = self.head(x)
        return logits

    def forward(self, x: Tensor, window: Window | None = None, z: Tensor | None = None) -> Tensor:
        """Decode embeddings.

        Args:
            x: Embeddings, shape (B, C, h, w).
            window: Part of the picture to return; the whole picture is computed.
            z: Time vectors of a boosted stack, shape (B, time_width).

        Returns:
            Shape (B, channels, H, W), in [0, 1].
        """
        logits = self.logits(x, z)
        if window is not None:
            logits = logits[:, :, window.top : window.bottom, window.left : window.right]
        # In float32: near 1, neighbouring numbers of bfloat16 are a whole 8-bit level apart.
        return torch.tanh(logits.float()) * 0.5 + 0.5


def apply_stage(stage: nn.Module, x: Tensor, z: Tensor | None) -> Tensor:
    """Apply one of `BlockStack.stages`.

    Args:
        stage: Block, or the `TemporalAffine` behind one.
        x: Features, shape (B, C, h, w).
        z: Time vectors of a boosted stack, shape (B, time_width).
    """
    features: Tensor = stage(x, z) if isinstance(stage, TemporalAffine) else stage(x)
    return features


class ShuffleConv(nn.Conv2d):
    """A convolution and a pixel shuffle; weights keep the order of published state dicts.

    Args:
        layer: Shape and upsampling factor of the convolution.
    """

    def __init__(self, layer: LayerSpec) -> None:
        super().__init__(layer.inputs, layer.outputs, layer.kernel)
        self.upscale = layer.upscale

    def forward(self, x: Tensor) -> Tensor:
        """Upsample features from shape (B, C, h, w) to (B, C', h * s, w * s)."""
        # `getattr`, because these are plain tensors while weights are quantised.
        weight, bias = (cast(Tensor, getattr(self, name)) for name in ("weight", "bias"))
        kernel = phase_first(weight, self.upscale)
        y = F.conv2d(x, kernel, phase_first(bias, self.upscale), padding=kernel.shape[-1] // 2)
        return depth_to_space(y, self.upscale)


class ShuffleBlock(nn.Module):
    """A stem or a stage of NeRV and HNeRV: convolution, pixel shuffle, activation.

    Args:
        layer: Shape and upsampling factor of the convolution.
        activation: Key of `ACTIVATIONS`.
    """

    def __init__(self, layer: LayerSpec, activation: str) -> None:
        super().__init__()
        self.convolution = ShuffleConv(layer)
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        """Upsample features from shape (B, C, h, w) to (B, C', h * s, w * s)."""
        return self.activation(self.convolution(x))


def plain_stack(config: StackConfig, activation: str) -> UpsamplingStack | BlockStack:
    """Return the stack of a family whose blocks are one convolution each.

    Args:
        config: Configuration of the network.
        activation: Activation of blocks that are not boosted, a key of `ACTIVATIONS`; boosted
            blocks have a sine.
    """
    blocks, head = config.blocks(), config.head()
    if not config.boosted:
        return UpsamplingStack((*(layer for (layer,) in blocks), head), activation)
    return BlockStack(
        [ShuffleBlock(layer, "sine") for (layer,) in blocks],
        [layer.output_shape[0] for (layer,) in blocks],
        head,
        config.time_width,
    )
