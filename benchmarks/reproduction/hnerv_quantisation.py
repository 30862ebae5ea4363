"""How the authors of HNeRV quantise.

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
        values: What they stand for, float32.
        side: How many pairs of half-precision numbers describe the range.
    """

    symbols: Tensor
    values: Tensor
    side: int


def quantise(tensor: Tensor, bits: int) -> MinMax:
    """Asymmetric uniform quantisation, per tensor or per slice along the axis that serves best.

    Args:
        tensor: Any shape.
        bits: Per value.
    """
    ranges = [(tensor.min(), tensor.max())]
    for axis in range(tensor.dim()):
        low, high = tensor.amin(axis, keepdim=True), tensor.amax(axis, keepdim=True)
        if low.numel() < SIDE_SHARE * tensor.numel():
            ranges.append((low, high))
    tried = [_between(tensor, low, high, bits) for low, high in ranges]
    return min(tried, key=lambda one: float((one.values - tensor).abs().mean()))


def _between(tensor: Tensor, low: Tensor, high: Tensor, bits: int) -> MinMax:
    low = low.half().float()
    step = ((high - low) / (2**bits - 1)).half().float().clamp_min(1e-7)
    symbols = ((tensor - low) / step).round().clamp(0, 2**bits - 1)
    return MinMax(symbols.long(), low + step * symbols, low.numel())


def entropy_bits(tensors: Sequence[MinMax]) -> float:
    """Size by the entropy of one histogram over all symbols, and the ranges' 32 bits each.

    A lower bound of what the authors' one Huffman table gives, which this leaves out itself.
    """
    counts = torch.bincount(torch.cat([one.symbols.flatten() for one in tensors])).double()
    share = counts[counts > 0] / counts.sum()
    ideal = float(-(share.log2() * share).sum() * counts.sum())
    return ideal + 32 * sum(one.side for one in tensors)
