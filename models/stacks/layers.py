"""Blocks shared by several families: the upsampling stack, and ConvNeXt for encoders."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nvcodec.models.base.windows import Window, window_parts
from nvcodec.models.stacks.depthwise import depthwise
from nvcodec.models.stacks.layer_config import Layer


def depth_to_space(x: Tensor, scale: int) -> Tensor:
    """Pixel shuffle whose channels are ordered phase first: (s, s, C) instead of (C, s, s).

    Neighbouring channels stay neighbours in memory, so in channels-last layout the shuffle copies
    whole pixels; the usual order gathers single values and takes several times as long.

    Args:
        x: Shape (B, s * s * C, H, W).
        scale: Upsampling factor s.

    Returns:
        Shape (B, C, s * H, s * W), in channels-last layout.
    """
    if scale == 1:
        return x
    batch, channels, height, width = x.shape
    depth = channels // scale**2
    x = x.permute(0, 2, 3, 1).reshape(batch, height, width, scale, scale * depth)
    x = x.transpose(2, 3).reshape(batch, height * scale, width * scale, depth)
    return x.permute(0, 3, 1, 2)


def phase_first(parameter: Tensor, scale: int, axis: int = 0) -> Tensor:
    """Reorder an axis from pixel-shuffle order (C, s, s) to phase-first order (s, s, C)."""
    if scale == 1:
        return parameter
    shape = parameter.shape
    phases = parameter.reshape(*shape[:axis], -1, scale**2, *shape[axis + 1 :])
    return phases.transpose(axis, axis + 1).reshape(shape)


def fold_shuffle(weight: Tensor) -> Tensor:
    """A narrow 1x1 or 3x3 convolution behind a shuffle by 2, as a convolution in front of one.

    The shuffled tensor, four times as large and with few output channels to share the work, is then
    never made. A 1x1 kernel stays one per phase. A 3x3 kernel becomes a 2x2 one on the grid of the
    *corners* between cells: the four samples around a corner see the four cells that meet there and
    nothing else.

    Args:
        weight: Kernel of the convolution behind the shuffle, shape (O, C, k, k), k 1 or 3.

    Returns:
        Kernel of shape (4 * O, 4 * C, K, K), K 1 or 2. Applied with padding K - 1 and shuffled by 2
        it gives what shuffling first would have given, and K - 1 more samples on every side.
    """
    outputs, inputs, kernel, _ = weight.shape
    side = (kernel + 1) // 2
    phases = []
    for row in range(2):
        for column in range(2):
            # The kernel as this phase places it among the samples of side x side cells.
            rest = 2 * side - kernel
            canvas = F.pad(weight, (column, rest - column, row, rest - row))
            cut = canvas.view(outputs, inputs, side, 2, side, 2)
            phases.append(cut.permute(0, 3, 5, 1, 2, 4))
    return torch.cat(phases).flatten(1, 3)


class UpsamplingStack(nn.Module):
    """Convolutions with pixel shuffles between them, a head, and the output range of NeRV.

    Parameters keep the shapes and the order of the published state dicts.

    Args:
        layers: Optional 1x1 stem (a first layer with `upscale` 1), stages, head.
        activation: `"gelu"` or `"silu"`, applied after the stem and after every stage.
    """

    def __init__(self, layers: tuple[Layer, ...], activation: str) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(layer.inputs, layer.outputs, layer.kernel) for layer in layers
        )
        self.upscales = [layer.upscale for layer in layers]
        self.activation = activation
        self.head_kernel = layers[-1].kernel
        self.folds_head = self.upscales[-2] == 2 and layers[-1].kernel in (1, 3)

    def kernels(self) -> list[tuple[Tensor, Tensor]]:
        """Weights and biases as they are applied: phases first, the head folded."""
        pairs = []
        for convolution, scale in zip(self.convolutions, self.upscales, strict=True):
            # Not get_parameter: while weights are quantised these are plain tensors.
            weight, bias = (cast(Tensor, getattr(convolution, name)) for name in ("weight", "bias"))
            pairs.append((phase_first(weight, scale), phase_first(bias, scale)))
        if self.folds_head:
            weight, bias = pairs[-1]
            pairs[-1] = fold_shuffle(weight), bias.repeat(4)
        return pairs

    def shuffles(self) -> list[int]:
        """Upsampling factor behind each of `kernels()`: a folded head's shuffle comes last."""
        if not self.folds_head:
            return self.upscales
        return [*self.upscales[:-2], 1, 2]

    def trim(self, x: Tensor) -> Tensor:
        """Drop the samples that a folded 3x3 head makes around what it is asked for."""
        if self.folds_head and self.head_kernel == 3:
            return x[:, :, 1:-1, 1:-1]
        return x

    def forward(self, x: Tensor, window: Window | None = None) -> Tensor:
        """Decode embeddings.

        Args:
            x: Shape (B, C, h, w).
            window: The part of the picture to compute; all of it by default. The result is the
                same as cropping the whole picture.

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
        return self.ranged(x)

    def ranged(self, x: Tensor) -> Tensor:
        """From what the head makes to samples in [0, 1]."""
        # In float32: near 1 a step of bfloat16 is a whole level of an 8-bit sample.
        return torch.tanh(x.float()) * 0.5 + 0.5


class ChannelsFirstNorm(nn.LayerNorm):
    """Layer norm over the channels of a (B, C, H, W) tensor."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each position over its channels."""
        y: Tensor = super().forward(x.permute(0, 2, 3, 1))
        return y.permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    """Depthwise 7x7, norm, pointwise to four times the width and back, layer scale, residual.

    Liu et al., "A ConvNet for the 2020s", figure 4.
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
