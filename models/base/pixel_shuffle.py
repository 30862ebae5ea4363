"""Pixel shuffles in phase-first channel order."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def depth_to_space(x: Tensor, scale: int) -> Tensor:
    """Apply a pixel shuffle whose channels are ordered phase first: (s, s, C), not (C, s, s).

    Neighbouring channels stay neighbours in memory, so in channels-last layout the shuffle copies
    whole pixels; the usual order gathers single values and takes several times as long.

    Args:
        x: Features, shape (B, s * s * C, H, W).
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
    """Reorder an axis from pixel-shuffle order (C, s, s) to phase-first order (s, s, C).

    Args:
        parameter: Weight or bias of the convolution in front of the shuffle.
        scale: Upsampling factor s.
        axis: Axis of the output channels.

    Returns:
        Tensor of the same shape.
    """
    if scale == 1:
        return parameter
    shape = parameter.shape
    phases = parameter.reshape(*shape[:axis], -1, scale**2, *shape[axis + 1 :])
    return phases.transpose(axis, axis + 1).reshape(shape)


def fold_shuffle(weight: Tensor) -> Tensor:
    """Convert a convolution behind a pixel shuffle by 2 into one in front of it.

    This suits a narrow 1x1 or 3x3 convolution: the shuffled tensor, four times as large and with
    few output channels to share the work, is never materialised. A 1x1 kernel stays one per phase.
    A 3x3 kernel becomes a 2x2 one on the grid of the *corners* between cells: the four samples
    around a corner depend on the four cells that meet there and on nothing else.

    Args:
        weight: Kernel of the convolution behind the shuffle, shape (O, C, k, k), k 1 or 3.

    Returns:
        Kernel of shape (4 * O, 4 * C, K, K), K 1 or 2. With padding K - 1 and a shuffle by 2 behind
        it, it gives the same samples as the shuffle in front of `weight`, and K - 1 more samples on
        every side.
    """
    outputs, inputs, kernel, _ = weight.shape
    side = (kernel + 1) // 2
    phases = []
    for row in range(2):
        for column in range(2):
            # Position of this phase's kernel among the samples of side x side cells.
            margin = 2 * side - kernel
            placed = F.pad(weight, (column, margin - column, row, margin - row))
            cells = placed.view(outputs, inputs, side, 2, side, 2)
            phases.append(cells.permute(0, 3, 5, 1, 2, 4))
    return torch.cat(phases).flatten(1, 3)
