"""Modules that several families share: the upsampling stack, and ConvNeXt blocks for encoders."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nvcodec.models.base.pixel_shuffle import depth_to_space, fold_shuffle, phase_first
from nvcodec.models.base.windows import Window, window_parts
from nvcodec.models.stacks.depthwise import depthwise
from nvcodec.models.stacks.layer_config import LayerSpec


class UpsamplingStack(nn.Module):
    """A stack of convolutions and pixel shuffles, with a head and the output range of NeRV.

    Parameters have the shapes and the order of the published state dicts.

    Args:
        layers: Optional 1x1 stem (a first layer with `upscale` 1), stages and head.
        activation: `"gelu"` or `"silu"`, applied after the stem and after every stage.

    Attributes:
        folds_head: Whether the head is computed in front of the last pixel shuffle.
    """

    def __init__(self, layers: tuple[LayerSpec, ...], activation: str) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(layer.inputs, layer.outputs, layer.kernel) for layer in layers
        )
        self.upscales = [layer.upscale for layer in layers]
        self.activation = activation
        self.head_kernel = layers[-1].kernel
        self.folds_head = self.upscales[-2] == 2 and layers[-1].kernel in (1, 3)

    def kernels(self) -> list[tuple[Tensor, Tensor]]:
        """Return weights and biases in phase-first order, with the head folded."""
        pairs = []
        for convolution, scale in zip(self.convolutions, self.upscales, strict=True):
            # Not `get_parameter`, because these are plain tensors while weights are quantised.
            weight, bias = (cast(Tensor, getattr(convolution, name)) for name in ("weight", "bias"))
            pairs.append((phase_first(weight, scale), phase_first(bias, scale)))
        if self.folds_head:
            weight, bias = pairs[-1]
            pairs[-1] = fold_shuffle(weight), bias.repeat(4)
        return pairs

    def shuffles(self) -> list[int]:
        """Return the upsampling factor behind each of `kernels()`; a folded head's comes last."""
        if not self.folds_head:
            return self.upscales
        return [*self.upscales[:-2], 1, 2]

    def trim(self, x: Tensor) -> Tensor:
        """Drop the additional samples that a folded 3x3 head computes on every side."""
        if self.folds_head and self.head_kernel == 3:
            return x[:, :, 1:-1, 1:-1]
        return x

    def forward(self, x: Tensor, window: Window | None = None) -> Tensor:
        """Decode embeddings.

        Args:
            x: Embeddings, shape (B, C, h, w).
            window: Part of the picture to compute; all of it by default. The result equals the crop
                of the whole picture.

        Returns:
            Shape (B, channels, H, W), in [0, 1].
        """
        act = F.gelu if self.activation == "gelu" else F.silu
        kernels, shuffles = self.kernels(), self.shuffles()
        if window is not None:
            parts = window_parts(window, x.shape[2:], kernels, shuffles)
        for position, ((weight, bias), scale) in enumerate(zip(kernels, shuffles, strict=True)):
            if window is None:
                x = F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)
            else:
                x = F.conv2d(parts[position].crop(x), weight, bias)
            if position + 1 < len(kernels):
                x = act(x)
            x = depth_to_space(x, scale)
        x = self.trim(x)
        if window is not None:
            x = parts[-1].crop(x)
        return self.to_samples(x)

    def to_samples(self, x: Tensor) -> Tensor:
        """Map the output of the head to samples in [0, 1]."""
        # In float32: near 1, neighbouring numbers of bfloat16 are a whole 8-bit level apart.
        return torch.tanh(x.float()) * 0.5 + 0.5


class ChannelsFirstNorm(nn.LayerNorm):
    """Layer normalisation over the channels of a (B, C, H, W) tensor."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each position over its channels."""
        y: Tensor = super().forward(x.permute(0, 2, 3, 1))
        return y.permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    """A ConvNeXt block (Liu et al., "A ConvNet for the 2020s", figure 4).

    It consists of a depthwise 7x7 convolution, a normalisation, pointwise layers to four times the
    width and back, and a layer scale, with a residual connection around them.

    Args:
        width: Input and output channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.expand = nn.Linear(width, 4 * width)
        self.project = nn.Linear(4 * width, width)
        self.scale = nn.Parameter(torch.full((width,), 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        """Refine features, shape (B, C, H, W) in and out."""
        y = depthwise(x, self.depthwise.weight, cast(Tensor, self.depthwise.bias))
        y = self.norm(y.permute(0, 2, 3, 1))
        y = self.scale * self.project(F.gelu(self.expand(y)))
        refined: Tensor = x + y.permute(0, 3, 1, 2)
        return refined
