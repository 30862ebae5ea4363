"""Quantisation of a network as the authors of HNeRV do it.

Chen et al., "HNeRV: A Hybrid Neural Representation for Videos", CVPR 2023, section 3.3. Written
from the description.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

WEIGHT_BITS, EMBEDDING_BITS = 8, 6
# Side information may take at most this share of a tensor.
SIDE_SHARE = 0.02


@dataclass(frozen=True, slots=True)
class MinMax:
    """A tensor quantised between its smallest and its largest value.

    Attributes:
        symbols: int64, shape of the tensor.
        values: Dequantised values, float32.
        pairs: Number of pairs of half-precision numbers that describe the ranges.
    """

    symbols: Tensor
    values: Tensor
    pairs: int


def quantise(tensor: Tensor, bits: int) -> MinMax:
    """Quantise uniformly and asymmetrically, per tensor or per slice along the best axis.

    Args:
        tensor: Tensor of any shape.
        bits: Bits per value.
    """
    ranges = [(tensor.min(), tensor.max())]
    for axis in range(tensor.dim()):
        low, high = tensor.amin(axis, keepdim=True), tensor.amax(axis, keepdim=True)
        if low.numel() < SIDE_SHARE * tensor.numel():
            ranges.append((low, high))
    candidates = [_between(tensor, low, high, bits) for low, high in ranges]
    return min(candidates, key=lambda candidate: float((candidate.values - tensor).abs().mean()))


def _between(tensor: Tensor, low: Tensor, high: Tensor, bits: int) -> MinMax:
    """Quantise a tensor between limits, which are broadcast to its shape."""
    low = low.half().float()
    step = ((high - low) / (2**bits - 1)).half().float().clamp_min(1e-7)
    symbols = ((tensor - low) / step).round().clamp(0, 2**bits - 1)
    return MinMax(symbols.long(), low + step * symbols, low.numel())


def entropy_bits(tensors: Sequence[MinMax]) -> float:
    """Return the size in bits: the entropy of one histogram of all symbols, and 32 bits per range.

    This is a lower bound of the size with the authors' Huffman table, which itself is not counted.
    """
    counts = torch.bincount(
        torch.cat([candidate.symbols.flatten() for candidate in tensors])
    ).double()
    share = counts[counts > 0] / counts.sum()
    ideal = float(-(share.log2() * share).sum() * counts.sum())
    return ideal + 32 * sum(candidate.pairs for candidate in tensors)
