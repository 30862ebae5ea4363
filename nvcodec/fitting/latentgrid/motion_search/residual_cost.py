"""The cost of what a prediction leaves: a proxy for rate and distortion of its coefficients.

The residual is not quantised yet when motion is chosen. A smooth proxy stands for what it will
cost: for a coefficient c in quantisation steps about c**2 where it will be rounded to zero, and
about the bits of its magnitude beyond. The coefficients are those of a Hadamard transform.
"""

from __future__ import annotations

from math import log1p

import numpy as np

from nvcodec.host.compiled import compiled_part
from nvcodec.media import Float32Array

# Point at which the cost turns from quadratic to logarithmic, in squared steps.
_KNEE = 0.55
SIDE = 8
# Entries of the table of costs per quantisation step, and its end.
_FINENESS, _ENTRIES = 16, 4096


def cost_table() -> Float32Array:
    """Return the cost of a coefficient by its magnitude, in sixteenths of a step."""
    return np.array(
        [_KNEE * log1p((i / _FINENESS) ** 2 / _KNEE) for i in range(_ENTRIES)], np.float32
    )


@compiled_part
def coefficient_cost(block: Float32Array, scale: float, table: Float32Array) -> float:
    """Return the cost of an 8 x 8 residual.

    Args:
        block: The residual, float32, shape (8, 8); overwritten.
        scale: What turns its values into quantisation steps.
        table: `cost_table()`.
    """
    for turn in range(2):
        for distance in (1, 2, 4):
            for start in range(0, 8, 2 * distance):
                for offset in range(distance):
                    a, b = block[start + offset], block[start + offset + distance]
                    for x in range(8):
                        low, high = a[x], b[x]
                        a[x], b[x] = low + high, low - high
        if turn == 0:
            for y in range(8):
                for x in range(y):
                    block[y, x], block[x, y] = block[x, y], block[y, x]
    # The transform of 8 x 8 values is orthonormal if it is divided by 8.
    factor = np.float32(scale * _FINENESS / SIDE)
    cost = np.float32(0)
    for y in range(8):
        for x in range(8):
            index = min(int(abs(block[y, x]) * factor), _ENTRIES - 1)
            cost += table[index]
    return float(cost)
