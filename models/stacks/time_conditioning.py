"""The modules of boosted stacks: a time branch, and a block behind every block that it modulates.

    t ─► sines and cosines ─► linear ─► sin ─► linear ─► sin ─► z

    block ─► x ─► x (1 + a(z)) + b(z) ─► 3x3 conv ─► GELU ─► again ─► 3x3 conv ─► + x

Zhang et al., "Boosting Neural Representations for Videos with a Conditional Decoder", CVPR 2024,
sections 3.2 and 3.3. In a boosted stack, the blocks themselves have a sine as their activation.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nvcodec.cuda.mlp import FusedMLP
from nvcodec.models.stacks.layer_config import (
    TIME_BASE,
    TIME_LEVELS,
    LayerSpec,
    affine_layers,
    time_layers,
)
from nvcodec.models.stacks.positional_encoding import encoding


class TimeBranch(nn.Module):
    """The branch that computes the time vector z of a frame, which conditions all boosted blocks.

    Args:
        frames: Number of frames of the segment.
        width: Width of the time vector.
    """

    def __init__(self, frames: int, width: int) -> None:
        super().__init__()
        first, second = time_layers(width)
        self.frames = frames
        self.perceptron = FusedMLP(
            first.inputs, second.outputs, first.outputs, 1, "sine", "sine", bias=True
        )

    def forward(self, index: Tensor) -> Tensor:
        """Compute time vectors.

        Args:
            index: Frame numbers in the segment, shape (B,); fractions lie between frames.

        Returns:
            Shape (B, width).
        """
        z: Tensor = self.perceptron(encoding(index, self.frames, TIME_LEVELS, TIME_BASE))
        return z


class Modulation(nn.Module):
    """A scale and a shift of every channel that depend on time.

    Args:
        inner: First layer of the perceptrons of scale and shift.
        outer: Second layer of both.
    """

    def __init__(self, inner: LayerSpec, outer: LayerSpec) -> None:
        super().__init__()
        self.scale = _perceptron(inner, outer)
        self.shift = _perceptron(inner, outer)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """Modulate features.

        Args:
            x: Features, shape (B, C, H, W).
            z: Time vectors, shape (B, width).

        Returns:
            x * (1 + scale(z)) + shift(z), shape (B, C, H, W).
        """
        scale, shift = (network(z)[:, :, None, None] for network in (self.scale, self.shift))
        return torch.addcmul(x + shift, x, scale)


class TemporalAffine(nn.Module):
    """A residual block conditioned on time (section 3.2).

    Args:
        width: Width of the time vector.
        channels: Input and output channels.
    """

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        inner, outer, _, _, convolution, *_ = affine_layers(width, channels, (1, 1))
        self.first = Modulation(inner, outer)
        self.refine = nn.Conv2d(convolution.inputs, convolution.outputs, 3, padding=1)
        self.second = Modulation(inner, outer)
        self.correct = nn.Conv2d(convolution.inputs, convolution.outputs, 3, padding=1)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """Correct features, shape (B, C, H, W), given time vectors `z`, shape (B, width)."""
        y = F.gelu(self.refine(self.first(x, z)))
        corrected: Tensor = x + self.correct(self.second(y, z))
        return corrected


def _perceptron(inner: LayerSpec, outer: LayerSpec) -> FusedMLP:
    return FusedMLP(inner.inputs, outer.outputs, inner.outputs, 1, "relu", "none", bias=True)
