"""Tables of wavelet latents, the order of values in them, and limits of messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from nvcodec.entropy.coder.frequency_tables import FrequencyTable, TableSet
from nvcodec.entropy.coder.probability_tables import SCALES, DistributionFamily, cumulative
from nvcodec.errors import BitstreamError
from nvcodec.media import Int16Array, Int32Array
from nvcodec.models.latentgrid.subbands import PlaneKind, SubbandLayout

# Largest number of symbols per byte of a message, so that a few hostile bytes cannot ask for
# gigabytes. A message with more is padded with zero bytes. Messages of fits have a few per byte.
SYMBOLS_PER_BYTE = 64
# The same for coefficients per byte of a body, most of which are zero and not coded.
COEFFICIENTS_PER_BYTE = 1 << 16
MAX_COEFFICIENTS = 1 << 33
MAX_MAGNITUDE_BITS = 11


@lru_cache(maxsize=MAX_MAGNITUDE_BITS * SCALES)
def laplace_table(scale: int, bound: int) -> FrequencyTable:
    """Return a table of symbols in the order 0, -1, 1, -2, 2, ...

    CompressAI searches for a symbol from the first one on, and most symbols are 0.

    Args:
        scale: Scale index, 0 to 63.
        bound: Largest magnitude.
    """
    ascending = cumulative(DistributionFamily.LAPLACE, scale, -bound, bound)
    frequencies = np.diff(ascending)[from_zigzag_indices(np.arange(2 * bound + 1)) + bound]
    return FrequencyTable(0, (0, *np.cumsum(frequencies).tolist()))


def table_numbers(scales: npt.NDArray[np.integer[Any]], bound: int, tables: TableSet) -> Int32Array:
    """Return the table numbers of the symbols of a coding pass; new tables are added.

    Args:
        scales: Scale index of each symbol, shape (N,).
        bound: Largest magnitude.
        tables: The tables in use.
    """
    numbers = np.zeros(SCALES, np.int32)
    for scale in np.flatnonzero(np.bincount(scales, minlength=SCALES)).tolist():
        numbers[scale] = tables.add(laplace_table(scale, bound))
    return numbers.take(scales)


def too_many_symbols() -> BitstreamError:
    """Return the error of a message that would hold more than `SYMBOLS_PER_BYTE`."""
    return BitstreamError(
        f"segment payload: a message holds more than {SYMBOLS_PER_BYTE} symbols a byte"
    )


def split_ranges(
    lengths: Int32Array, layouts: Mapping[PlaneKind, SubbandLayout], depths: int
) -> dict[PlaneKind, Int32Array]:
    """Return the largest magnitudes that the tables allow for.

    Args:
        lengths: Their numbers of bits, kind by kind, rank by rank, depth by depth.
        layouts: The subbands of every kind of plane.
        depths: Number of temporal depths.

    Returns:
        The largest magnitudes of each kind, shape (ranks, depths).
    """
    ranges, position = {}, 0
    for kind, layout in layouts.items():
        shape = layout.scales + 1, depths
        ranges[kind] = (1 << lengths[position : position + prod(shape)].reshape(shape)) - 1
        position += prod(shape)
    return ranges


def zigzag_indices(symbols: Int16Array) -> Int32Array:
    """Return the indices of symbols in the order 0, -1, 1, -2, 2, ..."""
    widened = symbols.astype(np.int32)
    return np.where(widened < 0, -2 * widened - 1, 2 * widened)


def from_zigzag_indices(indices: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.integer[Any]]:
    """Return the symbols at indices in the order 0, -1, 1, -2, 2, ..."""
    return (indices >> 1) ^ -(indices & 1)


def coefficients_per_frame(layouts: Mapping[PlaneKind, SubbandLayout]) -> int:
    """Return the number of coefficients of a frame, coded or not."""
    return sum(layout.values for layout in layouts.values())


def concatenate(parts: Sequence[Int16Array | Int32Array]) -> Int32Array:
    """Concatenate arrays, possibly none, as int32."""
    return np.concatenate(parts).astype(np.int32) if parts else np.empty(0, np.int32)
