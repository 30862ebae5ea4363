"""Inputs of the context network: logarithms of magnitudes, and what the second pass adds."""

from __future__ import annotations

import numpy as np

from nvcodec.entropy.latents.context_network import LOGARITHMS, ONE
from nvcodec.entropy.latents.neighbourhood import LARGEST_SUM, Neighbourhood, Positions
from nvcodec.media import Float32Array, Int16Array, UInt8Array


def add_first_pass(
    inputs: Float32Array,
    magnitudes: Int16Array,
    padded: Positions,
    positions: Neighbourhood,
    part: slice,
) -> None:
    """Complete the inputs of the second pass with the symbols of the first.

    Args:
        inputs: Inputs of the second pass, shape (20, N); changed.
        magnitudes: Magnitudes of the first pass, shape (frames, channels, height + 2, width + 2).
        padded: Flat indices of the positions of the second pass in `magnitudes`, shape (N,).
        positions: All positions of both passes.
        part: The positions of the second pass among these.
    """
    count, channels, height, width = magnitudes.shape
    flat = magnitudes.reshape(-1)
    take_logarithms(flat.take(padded - 1) + flat.take(padded + 1), inputs[4])
    take_logarithms(flat.take(padded - width) + flat.take(padded + width), inputs[5])
    inputs[13] = ONE
    if channels > 1:
        # The checkerboard alternates between channels: where one channel is coded in the second
        # pass, those of the other parity were coded in the first.
        others = magnitudes
        if channels > 2:
            others = np.empty((count, 2, height, width), np.int16)
            for parity in range(2):
                magnitudes[:, parity::2].sum(axis=1, dtype=np.int16, out=others[:, parity])
        plane = 2 * positions.frame[part] + 1 - (positions.channel[part] & 1)
        others_at = padded + (plane - positions.plane[part]) * (height * width)
        flat = others.reshape(-1)
        centre = flat.take(others_at)
        take_logarithms(centre, inputs[10])
        # Of the nine positions of the 3 x 3 square, the first pass coded the centre and the corners.
        for offset in (-width - 1, 1 - width, width - 1, width + 1):
            centre += flat.take(others_at + offset)
        take_logarithms(np.minimum(centre, LARGEST_SUM), inputs[11])


def take_logarithms(magnitudes: Int16Array | UInt8Array, out: Float32Array) -> None:
    """Write `LOGARITHMS` of magnitudes to `out`; larger magnitudes have the last of them."""
    LOGARITHMS.take(magnitudes, out=out, mode="clip")
