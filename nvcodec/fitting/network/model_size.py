"""Chooses the number of parameters of a network for a target size."""

from __future__ import annotations

from collections.abc import Sequence

from nvcodec.config import EncoderConfig

# Coded size of a network per parameter at the best trade-off. Among 1.2 to 3 bits, 2 to 2.4 gave
# the best PSNR at 0.1 bpp on carphone and basketballpass (with a rate weight of 0.2), 0.5 to 0.9 dB
# more than 3 bits (with a rate weight of 0.03).
_BITS_PER_PARAMETER = 2.2

# Largest size per parameter that quantisation can make use of.
_MOST_BITS_PER_PARAMETER = 8.0

# Parameters per pixel at lmbda = 1, in inverse proportion to lmbda. Among 0.1 to 1.2, 0.2 to 0.4
# gave the lowest ln(distortion) + lmbda * bpp on carphone, bunny, bikes and basketballpass, for
# `nerv` and `hnerv` and lmbda from 3 to 20.
_PARAMETERS_PER_PIXEL = 0.3

# Lower limit as a multiple of the smallest network, which may hold little more than latents; found
# in the same measurement.
_LEAST_MULTIPLE = 1.5


def parameters_for(config: EncoderConfig, bits: float | None, pixels: int, least: int) -> int:
    """Return the number of parameters that the network of a segment may have.

    Args:
        config: Settings of the encode, which state the target.
        bits: Target size of the payload in bits; not needed if the number of parameters or `lmbda`
            is given.
        pixels: Number of pixels of the segment, over all frames.
        least: Number of parameters of the smallest network.
    """
    if config.parameters is not None:
        return config.parameters
    if config.lmbda is not None:
        best = _PARAMETERS_PER_PIXEL / config.lmbda * pixels
        return int(max(best, _LEAST_MULTIPLE * least))
    return int((bits or 0) / _BITS_PER_PARAMETER)


def ladder_size(sizes: Sequence[float]) -> float:
    """Return the size in bits that determines the network which all sizes of a ladder share.

    It lies between the geometric mean and the largest size: for 0.05, 0.1 and 0.2 bpp it is 0.141.
    Compared with separate encodes, after 40 epochs, it gave 0.0, +0.3 and -0.2 dB on carphone and
    +0.7, +0.4 and -0.2 dB on basketballpass. The geometric mean gave +0.7, +0.3, -0.6 and +1.1,
    +0.2, -0.9 dB.

    Args:
        sizes: Target sizes of the ladder in bits.
    """
    return float(min(sizes) ** 0.25 * max(sizes) ** 0.75)


def most_bits(parameters: int) -> float:
    """Return the largest size in bits that a network of so many parameters can make use of."""
    return _MOST_BITS_PER_PARAMETER * parameters
