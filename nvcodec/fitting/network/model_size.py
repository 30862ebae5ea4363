"""Chooses the number of parameters of a network for a wanted size."""

from __future__ import annotations

from collections.abc import Sequence

from nvcodec.config import EncoderConfig

# Where rate and distortion balance. Of 1.2 to 3, 2 to 2.4 gave the best PSNR at 0.1 bpp on carphone
# and basketballpass (with a rate weight of 0.2), 0.5 to 0.9 dB more than 3 (with 0.03).
_BITS_PER_PARAMETER = 2.2


_MOST_BITS_PER_PARAMETER = 8.0


# Times 1 / lmbda. Of 0.1 to 1.2, 0.2 to 0.4 gave the lowest ln(distortion) + lmbda * bpp on carphone,
# bunny, bikes and basketballpass, for `nerv` and `hnerv`, lmbda 3 to 20.
_PARAMETERS_PER_PIXEL = 0.3


# Of the smallest network, which may be little but latents; likewise measured.
_LEAST_TIMES = 1.5


def parameters_for(config: EncoderConfig, bits: float | None, pixels: int, least: int) -> int:
    """How many values the network of a segment may have.

    Args:
        config: Says what is wanted.
        bits: Wanted size of its payload; not needed where the number or `lmbda` is given.
        pixels: Its pixels, over all frames.
        least: Values of the smallest network.
    """
    if config.parameters is not None:
        return config.parameters
    if config.lmbda is not None:
        wanted = _PARAMETERS_PER_PIXEL / config.lmbda * pixels
        return int(max(wanted, _LEAST_TIMES * least))
    return int((bits or 0) / _BITS_PER_PARAMETER)


def ladder_size(sizes: Sequence[float]) -> float:
    """The size whose network all sizes of a ladder share, between the middle and the largest.

    For 0.05, 0.1 and 0.2 bpp that is 0.141. Against encodes of their own it gave, after 40 epochs,
    0.0, +0.3 and -0.2 dB on carphone, +0.7, +0.4 and -0.2 dB on basketballpass; the geometric
    middle +0.7, +0.3, -0.6 and +1.1, +0.2, -0.9.
    """
    return float(min(sizes) ** 0.25 * max(sizes) ** 0.75)


def most_bits(parameters: int) -> float:
    """The largest size that a network of so many values can make use of."""
    return _MOST_BITS_PER_PARAMETER * parameters
