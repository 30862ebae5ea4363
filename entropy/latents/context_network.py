"""The context network: a small integer network that predicts the scale of a symbol's distribution.

Its inputs are logarithms of magnitudes around a position: one scale coarser, in the other bands of
the same scale, in the reference frames. Its output is the scale index of a Laplace table. All
numbers are integers below 2**24, which float32 holds exactly and adds up exactly in any order.
Hence the tables are the same on every machine, at the speed of a matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from nvcodec.entropy.coder.probability_tables import SCALES
from nvcodec.media import Float32Array, Int8Array

# All of this is part of the bitstream.
INPUTS = 20
HIDDEN = 16
ONE = 64  # value of the constant input, and of flags that are set
WEIGHT_LIMIT = 127
_HIDDEN_DIVISOR = 32
_HIDDEN_LIMIT = 255
_OUTPUT_DIVISOR = 128
_BIAS_UNIT = 16
_MAX_MAGNITUDE = 511


def _logarithm(value: int) -> int:
    """Return 16 times the base-2 logarithm of 1 + value, linear between powers of two."""
    value += 1
    octave = value.bit_length() - 1
    return 16 * octave + ((value << 4) >> octave) - 16


LOGARITHMS: Float32Array = np.array(
    [_logarithm(value) for value in range(_MAX_MAGNITUDE + 1)], np.float32
)


@dataclass(frozen=True)
class ContextNetwork:
    """A network with one hidden layer and a linear bypass.

    Attributes:
        hidden: Weights of the hidden layer, int8, shape (20 inputs, 16).
        linear: Weights of the bypass, int8, shape (20,).
        output: Weights of the output, int8, shape (16,).
        biases: Biases of the output, int8, shape (bands, channels).
    """

    hidden: Int8Array
    linear: Int8Array
    output: Int8Array
    biases: Int8Array

    @cached_property
    def _first(self) -> Float32Array:
        return np.concatenate([self.hidden.T, self.linear[None]], dtype=np.float32)

    @cached_property
    def _second(self) -> Float32Array:
        return self.output.astype(np.float32)

    def scales(self, inputs: Float32Array, biases: Int8Array) -> npt.NDArray[np.int64]:
        """Predict the scale indices of symbols.

        Args:
            inputs: Shape (N, 20): entries of `LOGARITHMS` and constants, at most 160.
            biases: Bias of each symbol, shape (N,).

        Returns:
            Shape (N,), 0 to 63.
        """
        # |inputs| <= 160 and |weights| <= 127: sums stay below 20 * 160 * 127 + 16 * 255 * 127
        # + 16 * 127 < 2**20.
        # Transposed, so that the values of one hidden unit are contiguous.
        first = self._first @ inputs.T
        hidden, total = first[:HIDDEN], first[HIDDEN]
        hidden *= 1 / _HIDDEN_DIVISOR
        np.floor(hidden, out=hidden)
        np.clip(hidden, 0, _HIDDEN_LIMIT, out=hidden)
        total += self._second @ hidden
        total += biases.astype(np.float32) * _BIAS_UNIT
        total *= 1 / _OUTPUT_DIVISOR
        np.floor(total, out=total)
        scales: npt.NDArray[np.int64] = total.clip(0, SCALES - 1).astype(np.int64)
        return scales


def flatten_weights(network: ContextNetwork) -> npt.NDArray[np.int32]:
    """Return all weights in the order of the bitstream, shape (N,)."""
    parts = (network.hidden, network.linear, network.output, network.biases)
    numbers: npt.NDArray[np.int32] = np.concatenate(
        [part.ravel() for part in parts], dtype=np.int32
    )
    return numbers


def unflatten_weights(numbers: npt.NDArray[np.int32], bands: int, channels: int) -> ContextNetwork:
    """Make a network from weights; those beyond +-127 are clipped.

    Args:
        numbers: Weights in the order of the bitstream, shape (N,).
        bands: Number of bands.
        channels: Number of channels.
    """
    limited = numbers.clip(-WEIGHT_LIMIT, WEIGHT_LIMIT).astype(np.int8)
    ends = np.cumsum([INPUTS * HIDDEN, INPUTS, HIDDEN])
    hidden, linear, output, biases = np.split(limited, ends)
    return ContextNetwork(
        hidden.reshape(INPUTS, HIDDEN), linear, output, biases.reshape(bands, channels)
    )
