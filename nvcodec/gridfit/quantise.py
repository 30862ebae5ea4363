"""Latents in closed form: the integers of least rate-distortion cost, along the coding walk.

With orthonormal bands the squared error of a frame is that of its coefficients, whatever else
changes; so each symbol can be chosen by itself, given those before it, whose context says what it
costs. This is rate-distortion optimised quantisation, as practised for HM and x264.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nvcodec.entropy.contexts import FloatArray
from nvcodec.entropy.grids import LARGEST_BOUND
from nvcodec.entropy.tables import SCALES, scale_value
from nvcodec.entropy.walk import Int16Array, Stop


def _code_lengths() -> FloatArray:
    """Bits of magnitudes 0 to 2047 under every scale, shape (64, 2048); that of the sign included."""
    scales = np.array([scale_value(index) for index in range(SCALES)])[:, None]
    magnitude = np.arange(1, LARGEST_BOUND + 1)
    tail = np.exp(-(magnitude - 0.5) / scales) / 2
    mass = tail * (1 - np.exp(-1 / scales))
    zero = 1 - np.exp(-0.5 / scales)
    masses = np.concatenate([zero, mass], axis=1)
    bits: FloatArray = -np.log2(np.maximum(masses, 2.0**-16)).astype(np.float32)
    return bits


BITS = _code_lengths()


class Chooser:
    """A visitor that chooses symbols.

    Args:
        frames: Numbers of the frames whose coefficients are given.
        coefficients: Of every band, in steps, shape (frames, channels, *room).
        weight: What a bit costs, in squared steps.

    Attributes:
        bits: What the symbols chosen so far cost.
    """

    def __init__(
        self, frames: Sequence[int], coefficients: Sequence[FloatArray], weight: float
    ) -> None:
        self._coefficients, self._weight = coefficients, weight
        self._local = np.zeros(max(frames) + 1, np.int64)
        self._local[list(frames)] = np.arange(len(frames))
        self.bits = 0.0

    def __call__(self, stop: Stop) -> Int16Array:
        """Choose the symbols of a stop, int16, shape (N,)."""
        frame, *rest = stop.place
        wanted = self._coefficients[stop.band][(self._local[frame], *rest)]
        magnitude = np.abs(wanted)
        lower = np.minimum(np.floor(magnitude).astype(np.int64), LARGEST_BOUND - 1)
        best = np.zeros(len(wanted), np.int64)
        bits = BITS[stop.scales, 0]
        least = magnitude**2 + self._weight * bits
        for candidate in (lower, lower + 1):
            length = BITS[stop.scales, candidate]
            cost = (magnitude - candidate) ** 2 + self._weight * length
            better = cost < least
            best = np.where(better, candidate, best)
            least = np.where(better, cost, least)
            bits = np.where(better, length, bits)
        self.bits += float(bits.sum())
        signed: Int16Array = np.where(wanted < 0, -best, best).astype(np.int16)
        return signed
