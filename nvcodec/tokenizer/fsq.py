"""Finite scalar quantisation in torch: vectors to digits, and codes that gradients pass through.

Mentzer et al., ICLR 2024, with every channel's levels spread evenly over -1 to 1, also where their
number is even. Always in float32: in half precision neighbouring levels fall together.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nvcodec.tokenizer.token_ids import LEVELS


def quantise(vectors: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Digits of vectors, and the codes that stand for them.

    Args:
        vectors: Any real values, with 6 along `axis`.
        axis: Of the channels.

    Returns:
        Codes in [-1, 1], whose gradients are those of the bounded vectors, and digits, int64; both
        in the shape of the vectors.
    """
    half = _half(vectors.device, vectors.dim(), axis)
    bounded = torch.tanh(vectors.float()) * half
    # Levels are whole numbers from 0 once the middle has been moved to half.
    fsq_indices = torch.round(bounded.detach() + half)
    rounded = fsq_indices - half
    return (bounded + (rounded - bounded).detach()) / half, fsq_indices.long()


def distance(vectors: Tensor, axis: int) -> Tensor:
    """How far vectors are from their levels: 0 to 1/2 of a step, in their shape."""
    half = _half(vectors.device, vectors.dim(), axis)
    levels = torch.tanh(vectors.float()) * half + half
    return (levels - levels.detach().round()).abs()


def _half(device: torch.device, dimensions: int, axis: int) -> Tensor:
    shape = [1] * dimensions
    shape[axis] = -1
    return ((torch.tensor(LEVELS, dtype=torch.float32, device=device) - 1) / 2).view(shape)
