"""The positional encoding of a frame's time as sines and cosines."""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor


def encoding(index: Tensor, frames: int, levels: int, base: int) -> Tensor:
    """Return sines and cosines of pi * base**i * t, with t = index / frames (NeRV, section 3.1).

    Args:
        index: Frame numbers in the segment, shape (B,); fractions lie between frames.
        frames: Number of frames of the segment.
        levels: Number of frequencies; each has a sine and a cosine.
        base: Ratio of neighbouring frequencies, in hundredths (125 = 1.25).

    Returns:
        Shape (B, 2 * levels), float32: sine and cosine of each frequency in turn.
    """
    # In double precision: the highest frequency completes thousands of periods in a segment.
    powers = torch.arange(levels, device=index.device, dtype=torch.float64)
    frequencies = pi * (base / 100) ** powers
    angles = (index.double() / frames)[:, None] * frequencies
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1).float()
