"""Boosted stacks: every block is followed by one that time scales, shifts and corrects.

    t ─► sines and cosines ─► linear ─► sin ─► linear ─► sin ─► z

    block ─► x ─► x (1 + a(z)) + b(z) ─► 3x3 conv ─► GELU ─► again ─► 3x3 conv ─► + x

Zhang et al., "Boosting Neural Representations for Videos with a Conditional Decoder", CVPR 2024,
sections 3.2 and 3.3; the blocks themselves have a sine in place of their activation.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nvcodec.cuda.mlp import FusedMLP
from nvcodec.models.stacks.layer_config import (
    TIME_BASE,
    TIME_LEVELS,
    Layer,
    affine_layers,
    time_layers,
)
from nvcodec.models.stacks.positional_encoding import encoding


class TimeBranch(nn.Module):
    """What every boosted block knows of time.

    Args:
        frames: Of the segment.
        width: Of the vector z.
    """

    def __init__(self, frames: int, width: int) -> None:
        super().__init__()
        first, second = time_layers(width)
        self.frames = frames
        self.perceptron = FusedMLP(
            first.inputs, second.outputs, first.outputs, 1, "sine", "sine", bias=True
        )

    def forward(self, index: Tensor) -> Tensor:
        """From frame numbers, shape (B,), to shape (B, width)."""
        z: Tensor = self.perceptron(encoding(index, self.frames, TIME_LEVELS, TIME_BASE))
        return z


class Modulation(nn.Module):
    """A scale and a shift of every channel, out of time."""

    def __init__(self, inner: Layer, outer: Layer) -> None:
        super().__init__()
        self.scale = _perceptron(inner, outer)
        self.shift = _perceptron(inner, outer)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """Modulate features.

        Args:
            x: Shape (B, C, H, W).
            z: What is known of time, shape (B, width).
        """
        scale, shift = (made(z)[:, :, None, None] for made in (self.scale, self.shift))
        return torch.addcmul(x + shift, x, scale)


class TemporalAffine(nn.Module):
    """A residual block that time conditions (section 3.2).

    Args:
        width: Of the vector of time.
        channels: In and out.
    """

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        inner, outer, _, _, convolution, *_ = affine_layers(width, channels, (1, 1))
        self.first = Modulation(inner, outer)
        self.refine = nn.Conv2d(convolution.inputs, convolution.outputs, 3, padding=1)
        self.second = Modulation(inner, outer)
        self.correct = nn.Conv2d(convolution.inputs, convolution.outputs, 3, padding=1)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """Correct features; see `Modulation`."""
        y = F.gelu(self.refine(self.first(x, z)))
        corrected: Tensor = x + self.correct(self.second(y, z))
        return corrected


def _perceptron(inner: Layer, outer: Layer) -> FusedMLP:
    return FusedMLP(inner.inputs, outer.outputs, inner.outputs, 1, "relu", "none", bias=True)
