"""Differentiable code lengths, for fitting: the same distributions the integer tables hold."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

from nvcodec.entropy.tables import SCALES, Family, scale_value

_LEAST = 2.0**-16  # no symbol's frequency is below this


def bits(symbols: Tensor, scale: Tensor, family: Family) -> Tensor:
    """Information content of symbols under a zero-mean distribution over unit bins.

    Args:
        symbols: In quantisation steps, any shape; not rounded here.
        scale: Scale of the distribution in steps, broadcastable to `symbols`, positive.
        family: Laplace or logistic.

    Returns:
        Bits, shape of `symbols`, between 0 and 16; differentiable in both arguments.
    """
    size = symbols.abs()
    if family is Family.LAPLACE:
        # Beyond the central bin both edges are in one exponential tail; that form keeps its
        # precision for symbols far out, where a difference of two probabilities would be 0.
        tail = torch.exp((0.5 - size) / scale)
        edge = torch.exp(-1 / scale)
        centre = 1 - 0.5 * torch.exp((size - 0.5) / scale) - 0.5 * torch.exp(-(size + 0.5) / scale)
        mass = torch.where(size < 0.5, centre, 0.5 * tail * (1 - edge))
    else:
        mass = torch.sigmoid((0.5 - size) / scale) - torch.sigmoid((-0.5 - size) / scale)
    return -torch.log2(mass.clamp_min(_LEAST))


def fitted_scale(magnitude: Tensor, family: Family) -> Tensor:
    """The scale under which symbols of a mean magnitude are likeliest, nearly.

    Args:
        magnitude: Mean of the symbols' absolute values, any shape.
        family: Laplace or logistic.

    Returns:
        Scales, same shape, within the range of the integer tables.
    """
    if family is Family.LAPLACE:
        # For a two-sided geometric distribution of ratio r the mean magnitude is 2 r / (1 - r**2)
        # (up to the central bin's width): solve for r = exp(-1 / scale).
        ratio = magnitude / (1 + torch.sqrt(1 + magnitude**2))
        scale = -1 / torch.log(ratio.clamp(1e-8, 1 - 1e-7))
    else:
        scale = magnitude / (2 * log(2.0))
    return scale.clamp(scale_value(0), scale_value(SCALES - 1))
