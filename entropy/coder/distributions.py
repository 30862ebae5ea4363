"""Differentiable code lengths, for fitting: the same distributions the integer tables hold."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from nvcodec.entropy.coder.probability_tables import SCALES, Family, scale_value

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
        tail = torch.exp((0.5 - size.clamp_min(0.5)) / scale)
        edge = torch.exp(-1 / scale)
        # Clamped, as `where` would turn an overflow in the branch not taken into a NaN gradient.
        inner = size.clamp_max(0.5)
        centre = 1 - 0.5 * (torch.exp((inner - 0.5) / scale) + torch.exp(-(inner + 0.5) / scale))
        mass = torch.where(size < 0.5, centre, 0.5 * tail * (1 - edge))
    else:
        mass = torch.sigmoid((0.5 - size) / scale) - torch.sigmoid((-0.5 - size) / scale)
    return -torch.log2(mass.clamp_min(_LEAST))


def fitted_scale(magnitude: Tensor, family: Family) -> Tensor:
    """The scale whose distribution over unit bins has a mean magnitude.

    Args:
        magnitude: Mean of the symbols' absolute values, any shape.
        family: Laplace or logistic.

    Returns:
        Scales, same shape, within the range of the integer tables.
    """
    if family is Family.LAPLACE:
        # With r = exp(-1 / scale) the mean magnitude over unit bins is sqrt(r) / (1 - r).
        root = 2 * magnitude / (1 + torch.sqrt(1 + 4 * magnitude.square()))
        scale = -0.5 / torch.log(root.clamp(1e-8, 1 - 1e-7))
    else:
        # sum over k of P(|X| > k + 1/2), tabulated: there is no closed form to invert.
        known = _logistic_magnitudes().to(magnitude)
        upper = torch.searchsorted(known, magnitude.contiguous()).clamp(1, SCALES - 1)
        low, high = known[upper - 1], known[upper]
        part = ((magnitude - low) / (high - low)).clamp(0, 1)
        scale = torch.exp2((upper - 1 + part) / 4 - 4)
    return scale.clamp(scale_value(0), scale_value(SCALES - 1))


@cache
def _logistic_magnitudes() -> Tensor:
    """Mean magnitude of the logistic distribution over unit bins at each of the table's scales."""
    scales = torch.tensor([scale_value(i) for i in range(SCALES)], dtype=torch.float64)[:, None]
    edges = torch.arange(1 << 16, dtype=torch.float64)[None] + 0.5
    return (2 * torch.sigmoid(-edges / scales)).sum(1)
