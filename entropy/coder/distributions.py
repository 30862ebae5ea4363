"""Differentiable code lengths, for fitting, of the distributions that the integer tables hold."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from nvcodec.entropy.coder.probability_tables import SCALES, DistributionFamily, scale_value

_MIN_PROBABILITY = 2.0**-16  # that of the smallest frequency in a table


def bits(symbols: Tensor, scale: Tensor, family: DistributionFamily) -> Tensor:
    """Return the information content of symbols under a zero-mean distribution over unit bins.

    Args:
        symbols: Symbols in quantisation steps, any shape; not rounded here.
        scale: Scale of the distribution in steps, positive, broadcastable to `symbols`.
        family: Laplace or logistic.

    Returns:
        Bits, shape of `symbols`, between 0 and 16; differentiable in both arguments.
    """
    magnitude = symbols.abs()
    if family is DistributionFamily.LAPLACE:
        # Beyond the central bin both edges lie in one exponential tail. This form stays precise
        # for large symbols, where a difference of two probabilities would be 0.
        tail = torch.exp((0.5 - magnitude.clamp_min(0.5)) / scale)
        edge = torch.exp(-1 / scale)
        # Clamped, because `where` turns an overflow in the branch not taken into a NaN gradient.
        inner = magnitude.clamp_max(0.5)
        centre = 1 - 0.5 * (torch.exp((inner - 0.5) / scale) + torch.exp(-(inner + 0.5) / scale))
        probability = torch.where(magnitude < 0.5, centre, 0.5 * tail * (1 - edge))
    else:
        probability = torch.sigmoid((0.5 - magnitude) / scale) - torch.sigmoid(
            (-0.5 - magnitude) / scale
        )
    return -torch.log2(probability.clamp_min(_MIN_PROBABILITY))


def fitted_scale(magnitude: Tensor, family: DistributionFamily) -> Tensor:
    """Return the scale whose distribution over unit bins has a given mean magnitude.

    Args:
        magnitude: Mean of the symbols' absolute values, any shape.
        family: Laplace or logistic.

    Returns:
        Scales, same shape, within the range of the integer tables.
    """
    if family is DistributionFamily.LAPLACE:
        # With r = exp(-1 / scale) the mean magnitude over unit bins is sqrt(r) / (1 - r).
        root = 2 * magnitude / (1 + torch.sqrt(1 + 4 * magnitude.square()))
        scale = -0.5 / torch.log(root.clamp(1e-8, 1 - 1e-7))
    else:
        # The mean is the sum over k of P(|X| > k + 1/2). It has no closed inverse, so it is
        # tabulated.
        means = _logistic_magnitudes().to(magnitude)
        upper = torch.searchsorted(means, magnitude.contiguous()).clamp(1, SCALES - 1)
        low, high = means[upper - 1], means[upper]
        fraction = ((magnitude - low) / (high - low)).clamp(0, 1)
        scale = torch.exp2((upper - 1 + fraction) / 4 - 4)
    return scale.clamp(scale_value(0), scale_value(SCALES - 1))


@cache
def _logistic_magnitudes() -> Tensor:
    """Return the mean magnitude of the logistic distribution over unit bins at each scale."""
    scales = torch.tensor([scale_value(i) for i in range(SCALES)], dtype=torch.float64)[:, None]
    edges = torch.arange(1 << 16, dtype=torch.float64)[None] + 0.5
    return (2 * torch.sigmoid(-edges / scales)).sum(1)
