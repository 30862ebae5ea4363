"""Pixel shuffles in phase-first channel order."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


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
