"""Latents in closed form: the integers of least rate-distortion cost, along the coding walk.

With orthonormal bands the squared error of a frame is that of its coefficients, whatever else
changes; so each symbol can be chosen by itself, given those before it, whose context says what it
costs. This is rate-distortion optimised quantisation, as practised for HM and x264.

A symbol that is not zero also lets those below it be coded (see `nvcodec.entropy.latents.context_model`): what they
would gain is counted in its favour, as in the zerotrees of wavelet coders (Xiong, Ramchandran and
Orchard, "Space-frequency quantization for wavelet image coding", 1997).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from nvcodec.entropy.coder.probability_tables import LARGEST_SYMBOL, SCALES, scale_value
from nvcodec.entropy.latents.context_model import CodingPass
from nvcodec.media import Float32Array, Int16Array
from nvcodec.models.latentgrid.subbands import GridLayout


def _code_lengths() -> Float32Array:
    """Bits of magnitudes 0 to 2047 under every scale, shape (64, 2048); that of the sign included."""
    scales = np.array([scale_value(index) for index in range(SCALES)])[:, None]
    magnitude = np.arange(1, LARGEST_SYMBOL + 1)
    tail = np.exp(-(magnitude - 0.5) / scales) / 2
    mass = tail * (1 - np.exp(-1 / scales))
    zero = 1 - np.exp(-0.5 / scales)
    masses = np.concatenate([zero, mass], axis=1)
    bits: Float32Array = -np.log2(np.maximum(masses, 2.0**-16)).astype(np.float32)
    return bits


BITS = _code_lengths()

# What a symbol costs of which no more is known than that it is not zero, bits.
_USUAL_BITS = 9.0


class RdoQuantiser:
    """A visitor that chooses symbols.

    Args:
        layout: The bands.
        frames: Numbers of the frames whose coefficients are given.
        coefficients: Of every band, in steps, shape (frames, channels, *room).
        weight: What a bit costs, in squared steps.

    Attributes:
        bits: What the symbols chosen so far cost.
    """

    def __init__(
        self,
        layout: GridLayout,
        frames: Sequence[int],
        coefficients: Sequence[Float32Array],
        weight: float,
    ) -> None:
        self._coefficients, self._weight = coefficients, weight
        self._below = _gains_below(layout, coefficients, weight)
        self._local = np.zeros(max(frames) + 1, np.int64)
        self._local[list(frames)] = np.arange(len(frames))
        self.bits = 0.0

    def __call__(self, coding_pass: CodingPass) -> Int16Array:
        """Choose the symbols of a stop, int16, shape (N,)."""
        frame, *rest = coding_pass.place
        place = (self._local[frame], *rest)
        wanted = self._coefficients[coding_pass.band][place]
        magnitude = np.abs(wanted)
        lower = np.minimum(np.floor(magnitude).astype(np.int64), LARGEST_SYMBOL - 1)
        best = np.zeros(len(wanted), np.int64)
        bits = BITS[coding_pass.scales, 0]
        least = magnitude**2 + self._weight * bits
        favour = np.zeros(len(wanted), np.float32)
        if (below := self._below[coding_pass.band]) is not None:
            # Beside one that is not zero, those below are coded anyway.
            alone = (coding_pass.inputs[:, 4] == 0) & (coding_pass.inputs[:, 5] == 0)
            favour = np.where(alone, below[place], favour)
        for candidate in (lower, lower + 1):
            length = BITS[coding_pass.scales, candidate]
            cost = (magnitude - candidate) ** 2 + self._weight * length
            cost -= np.where(candidate > 0, favour, 0.0)
            better = cost < least
            best = np.where(better, candidate, best)
            least = np.where(better, cost, least)
            bits = np.where(better, length, bits)
        self.bits += float(bits.sum())
        signed: Int16Array = np.where(wanted < 0, -best, best).astype(np.int16)
        return signed


def _gains_below(
    layout: GridLayout, coefficients: Sequence[Float32Array], weight: float
) -> list[Float32Array | None]:
    """How much less what is below every position would cost, were it coded; in squared steps.

    Args:
        layout: The bands.
        coefficients: Of every band, in steps.
        weight: What a bit costs, in squared steps.

    Returns:
        Of every band the shape of its coefficients, or None where nothing is below.
    """
    found: list[Float32Array | None] = [None] * len(layout.bands)
    for number in range(len(layout.bands) - 1, 0, -1):
        parent = layout.bands[number].parent
        if parent is None:
            continue
        magnitude = np.abs(coefficients[number])
        least = np.maximum(np.rint(magnitude), 1)
        gain = magnitude**2 - (magnitude - least) ** 2 - weight * _USUAL_BITS
        below = found[number]
        if below is not None:
            gain += below
        np.maximum(gain, 0, out=gain)
        above = np.zeros_like(coefficients[parent])
        for y, x in product(range(2), range(2)):
            children = gain[..., y::2, x::2]
            above[..., : children.shape[-2], : children.shape[-1]] += children
        found[parent] = above
    return found
