"""RDOQ of wavelet latents: the integers of lowest rate-distortion cost, in coding order.

With orthonormal bands the squared error of a frame is that of its coefficients. Each symbol can
therefore be chosen by itself, given the symbols before it, whose context determines its cost in
bits. This is rate-distortion optimised quantisation as practised for HM and x264.

A symbol that is not zero also allows its children to be coded (see
`nvcodec.entropy.latents.context_model`). Their gain is credited to it, as in the zerotrees of
wavelet coders (Xiong, Ramchandran and Orchard, "Space-frequency quantization for wavelet image
coding", 1997).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from nvcodec.entropy.coder.probability_tables import LARGEST_SYMBOL, SCALES, scale_value
from nvcodec.entropy.latents.context_model import CodingPass
from nvcodec.media import Float32Array, Int16Array
from nvcodec.models.latentgrid.subbands import SubbandLayout


def _code_lengths() -> Float32Array:
    """Return the bits of magnitudes 0 to 2047 at every scale, the sign included: (64, 2048)."""
    scales = np.array([scale_value(index) for index in range(SCALES)])[:, None]
    magnitude = np.arange(1, LARGEST_SYMBOL + 1)
    tail = np.exp(-(magnitude - 0.5) / scales) / 2
    mass = tail * (1 - np.exp(-1 / scales))
    zero = 1 - np.exp(-0.5 / scales)
    masses = np.concatenate([zero, mass], axis=1)
    bits: Float32Array = -np.log2(np.maximum(masses, 2.0**-16)).astype(np.float32)
    return bits


BITS = _code_lengths()

# Bits of a nonzero symbol whose context is not known yet.
_USUAL_BITS = 9.0


class RdoQuantiser:
    """A `SymbolCoder` that quantises coefficients.

    Args:
        layout: The subbands.
        frames: Numbers of the frames whose coefficients are given.
        coefficients: Coefficients of every band in quantisation steps, shape (frames, channels,
            *padded size).
        lagrangian: Cost of a bit, in squared steps.

    Attributes:
        bits: Estimated bits of the symbols chosen so far.
    """

    def __init__(
        self,
        layout: SubbandLayout,
        frames: Sequence[int],
        coefficients: Sequence[Float32Array],
        lagrangian: float,
    ) -> None:
        self._coefficients, self._lagrangian = coefficients, lagrangian
        self._gains = _gains_below(layout, coefficients, lagrangian)
        self._frame_index = np.zeros(max(frames) + 1, np.int64)
        self._frame_index[list(frames)] = np.arange(len(frames))
        self.bits = 0.0

    def __call__(self, coding_pass: CodingPass) -> Int16Array:
        """Choose the symbols of a coding pass, int16, shape (N,)."""
        frame, *rest = coding_pass.positions
        position = (self._frame_index[frame], *rest)
        coefficients = self._coefficients[coding_pass.band][position]
        magnitude = np.abs(coefficients)
        lower = np.minimum(np.floor(magnitude).astype(np.int64), LARGEST_SYMBOL - 1)
        best = np.zeros(len(coefficients), np.int64)
        bits = BITS[coding_pass.scales, 0]
        lowest_cost = magnitude**2 + self._lagrangian * bits
        bonus = np.zeros(len(coefficients), np.float32)
        if (gains := self._gains[coding_pass.band]) is not None:
            # Beside a symbol that is not zero, the children are coded anyway.
            isolated = (coding_pass.inputs[:, 4] == 0) & (coding_pass.inputs[:, 5] == 0)
            bonus = np.where(isolated, gains[position], bonus)
        for candidate in (lower, lower + 1):
            length = BITS[coding_pass.scales, candidate]
            cost = (magnitude - candidate) ** 2 + self._lagrangian * length
            cost -= np.where(candidate > 0, bonus, 0.0)
            better = cost < lowest_cost
            best = np.where(better, candidate, best)
            lowest_cost = np.where(better, cost, lowest_cost)
            bits = np.where(better, length, bits)
        self.bits += float(bits.sum())
        signed: Int16Array = np.where(coefficients < 0, -best, best).astype(np.int16)
        return signed


def _gains_below(
    layout: SubbandLayout, coefficients: Sequence[Float32Array], lagrangian: float
) -> list[Float32Array | None]:
    """Return how much coding the descendants of every position saves, in squared steps.

    Args:
        layout: The subbands.
        coefficients: Coefficients of every band, in quantisation steps.
        lagrangian: Cost of a bit, in squared steps.

    Returns:
        For every band the savings in the shape of its coefficients, or None if it has no children.
    """
    gains: list[Float32Array | None] = [None] * len(layout.bands)
    for band_number in range(len(layout.bands) - 1, 0, -1):
        parent = layout.bands[band_number].parent
        if parent is None:
            continue
        magnitude = np.abs(coefficients[band_number])
        nearest = np.maximum(np.rint(magnitude), 1)
        gain = magnitude**2 - (magnitude - nearest) ** 2 - lagrangian * _USUAL_BITS
        own_gain = gains[band_number]
        if own_gain is not None:
            gain += own_gain
        np.maximum(gain, 0, out=gain)
        parent_gain = np.zeros_like(coefficients[parent])
        for y, x in product(range(2), range(2)):
            children = gain[..., y::2, x::2]
            parent_gain[..., : children.shape[-2], : children.shape[-1]] += children
        gains[parent] = parent_gain
    return gains
