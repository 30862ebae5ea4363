"""How symbols of grids are numbered for the entropy coder, its tables, and limits of messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from nvcodec.entropy.rans import Int32Array, Table, TableSet
from nvcodec.entropy.tables import SCALES, Family, cumulative
from nvcodec.entropy.walk import Int16Array
from nvcodec.models.bands import GridLayout, Kind

# A message holds at most so many symbols a byte, so that a few hostile bytes cannot ask for
# gigabytes; what has more is filled up with zeros. Fitted ones have a few.
SYMBOLS_PER_BYTE = 64
# Nor may a body ask for more coefficients in all, most of which are zero without being coded.
COEFFICIENTS_PER_BYTE = 1 << 16
MOST_COEFFICIENTS = 1 << 33
LARGEST_BOUND = 2047


@lru_cache(maxsize=64)
def tables_of(bound: int, low: int, high: int) -> TableSet:
    """Tables of some scales, from `low` to `high`."""
    return TableSet([table_of(scale, bound) for scale in range(low, high + 1)])


@lru_cache(maxsize=6 * SCALES)
def table_of(scale: int, bound: int) -> Table:
    """The table of the symbols of some stops, in the order 0, -1, 1, -2, 2, ...

    CompressAI looks for a symbol from the first one on, and most are 0.
    """
    ascending = cumulative(Family.LAPLACE, scale, -bound, bound)
    frequencies = np.diff(ascending)[symbols_of(np.arange(2 * bound + 1)) + bound]
    return Table(0, (0, *np.cumsum(frequencies).tolist()))


def places_of(symbols: Int16Array) -> Int32Array:
    """Of symbols, their numbers in the order 0, -1, 1, -2, 2, ..."""
    wide = symbols.astype(np.int32)
    return np.where(wide < 0, -2 * wide - 1, 2 * wide)


def symbols_of(places: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.integer[Any]]:
    """Inverse of `places_of`."""
    return (places >> 1) ^ -(places & 1)


def coefficients(layouts: Mapping[Kind, GridLayout]) -> int:
    """Symbols of a frame, coded or not."""
    return sum(layout.values for layout in layouts.values())


def joined(parts: Sequence[Int16Array | Int32Array]) -> Int32Array:
    """One array of all."""
    return np.concatenate(parts).astype(np.int32) if parts else np.empty(0, np.int32)
