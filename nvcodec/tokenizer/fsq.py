"""Finite scalar quantisation (FSQ) in torch, with a straight-through gradient.

Mentzer et al., ICLR 2024, but the FSQ levels of every channel are spread evenly over -1 to 1, also
where their number is even. All arithmetic is in float32: in half precision, neighbouring levels
would become equal.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nvcodec.tokenizer.token_ids import LEVELS


def quantise(vectors: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Quantise vectors.

    Args:
        vectors: Any real values, with 6 channels along `axis`.
        axis: Axis of the channels.

    Returns:
        Code vectors in [-1, 1], whose gradients are those of the bounded vectors, and FSQ indices,
        int64; both in the shape of `vectors`.
    """
    half = _half(vectors.device, vectors.dim(), axis)
    bounded = torch.tanh(vectors.float()) * half
    # With the middle moved to `half`, the FSQ levels are the whole numbers from 0.
    fsq_indices = torch.round(bounded.detach() + half)
    rounded = fsq_indices - half
    return (bounded + (rounded - bounded).detach()) / half, fsq_indices.long()


def distance(vectors: Tensor, axis: int) -> Tensor:
    """Return how far vectors are from the nearest FSQ level, 0 to 1/2 of the distance of levels.

    Args:
        vectors: Any real values, with 6 channels along `axis`.
        axis: Axis of the channels.

    Returns:
        float32, in the shape of `vectors`.
    """
    half = _half(vectors.device, vectors.dim(), axis)
    levels = torch.tanh(vectors.float()) * half + half
    return (levels - levels.detach().round()).abs()


def _half(device: torch.device, dimensions: int, axis: int) -> Tensor:
    """Return half the largest FSQ index of each channel, along `axis`."""
    shape = [1] * dimensions
    shape[axis] = -1
    return ((torch.tensor(LEVELS, dtype=torch.float32, device=device) - 1) / 2).view(shape)
