"""The cost of what a prediction leaves: a proxy for rate and distortion of its coefficients.

The residual is not quantised yet when motion is chosen. A smooth proxy stands for what it will
cost: for a coefficient c in quantisation steps about c**2 where it will be rounded to zero, and
about the bits of its magnitude beyond. The coefficients are those of a Hadamard transform of 8 x 8
samples.
"""

from __future__ import annotations

from math import log
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nvcodec.host.compiled import compiled_part
from nvcodec.media import Float32Array

# Point at which the cost turns from quadratic to logarithmic, in squared steps.
_KNEE = 0.55
SIDE = 8
# Factors that are multiplied before a logarithm is taken; each is at most 2**24, so that their
# product is finite in float64.
_FACTORS = 32
_LARGEST_FACTOR = np.float32(1 << 24)


class Strip(NamedTuple):
    """Room for the transform of a row of 8 x 8 blocks.

    Attributes:
        turned: Room for transposed blocks, float32, shape (8, W), W a multiple of 8.
        products: Room for products, float64, shape (W,).
    """

    turned: Float32Array
    products: npt.NDArray[np.float64]


def new_strip(width: int) -> Strip:
    """Return room for blocks up to a width, samples."""
    width = -(-width // SIDE) * SIDE
    return Strip(np.zeros((SIDE, width), np.float32), np.zeros(width, np.float64))


@compiled_part
def _transform(rows: Float32Array, width: int) -> None:
    """Transform the columns of a strip, not normalised."""
    for distance in (1, 2, 4):
        for pair in range(SIDE // 2):
            first = pair + pair // distance * distance
            a, b = rows[first], rows[first + distance]
            for x in range(width):
                low, high = a[x], b[x]
                a[x], b[x] = low + high, low - high


@compiled_part
def strip_cost(rows: Float32Array, strip: Strip, width: int, scale: float) -> float:
    """Return the cost of the residual of a row of blocks.

    Args:
        rows: The residual, shape (8, W); overwritten.
        strip: Room for its transform.
        width: Width of the blocks together, a multiple of 8, at most W.
        scale: What turns its values into quantisation steps.
    """
    turned, products = strip
    _transform(rows, width)
    for y in range(SIDE):
        row = rows[y]
        for x in range(width):
            turned[x & (SIDE - 1), (x & -SIDE) + y] = row[x]
    _transform(turned, width)
    # The transform of 8 x 8 values is orthonormal if it is divided by 8. The sum of the logarithms
    # of 1 + c**2 / knee is the logarithm of a product.
    factor = np.float32(scale * scale / (SIDE * SIDE) / _KNEE)
    for x in range(width):
        products[x] = 1.0
    for y in range(SIDE):
        row = turned[y]
        for x in range(width):
            products[x] *= min(np.float32(1) + row[x] * row[x] * factor, _LARGEST_FACTOR)
    total = 0.0
    step = _FACTORS // SIDE
    for x in range(0, width, step):
        product = 1.0
        for lane in range(step):
            product *= products[x + lane]
        total += log(product)
    return _KNEE * total
