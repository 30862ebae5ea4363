"""How symbols of grids are numbered for the entropy coder, its tables, and limits of messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from nvcodec.entropy.coder.probability_tables import SCALES, Family, cumulative
from nvcodec.entropy.coder.rans import Table, TableSet
from nvcodec.media import Int16Array, Int32Array
from nvcodec.models.latentgrid.subbands import GridLayout, PlaneKind

# A message holds at most so many symbols a byte, so that a few hostile bytes cannot ask for
# gigabytes; what has more is filled up with zeros. Fitted ones have a few.
SYMBOLS_PER_BYTE = 64
# Nor may a body ask for more coefficients in all, most of which are zero without being coded.
COEFFICIENTS_PER_BYTE = 1 << 16
MOST_COEFFICIENTS = 1 << 33
LONGEST = 11  # bits of a magnitude


@lru_cache(maxsize=LONGEST * SCALES)
def table_of(scale: int, bound: int) -> Table:
    """The table of the symbols of some stops, in the order 0, -1, 1, -2, 2, ...

    CompressAI looks for a symbol from the first one on, and most are 0.
    """
    ascending = cumulative(Family.LAPLACE, scale, -bound, bound)
    frequencies = np.diff(ascending)[symbols_of(np.arange(2 * bound + 1)) + bound]
    return Table(0, (0, *np.cumsum(frequencies).tolist()))


def table_numbers(scales: npt.NDArray[np.integer[Any]], bound: int, tables: TableSet) -> Int32Array:
    """Of the symbols of a stop, the numbers of their tables, which are added if they are new."""
    numbers = np.zeros(SCALES, np.int32)
    for scale in np.flatnonzero(np.bincount(scales, minlength=SCALES)).tolist():
        numbers[scale] = tables.add(table_of(scale, bound))
    return numbers.take(scales)


def split_ranges(
    lengths: Int32Array, layouts: Mapping[PlaneKind, GridLayout], depths: int
) -> dict[PlaneKind, Int32Array]:
    """The largest magnitudes that tables allow for.

    Args:
        lengths: Bits of them, kind by kind, rank by rank, depth by depth.
        layouts: The grids of a frame.
        depths: How many there are.

    Returns:
        Of each kind, shape (ranks, depths).
    """
    found, position = {}, 0
    for kind, layout in layouts.items():
        shape = layout.scales + 1, depths
        found[kind] = (1 << lengths[position : position + prod(shape)].reshape(shape)) - 1
        position += prod(shape)
    return found


def places_of(symbols: Int16Array) -> Int32Array:
    """Of symbols, their numbers in the order 0, -1, 1, -2, 2, ..."""
    wide = symbols.astype(np.int32)
    return np.where(wide < 0, -2 * wide - 1, 2 * wide)


def symbols_of(places: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.integer[Any]]:
    """Inverse of `places_of`."""
    return (places >> 1) ^ -(places & 1)


def coefficients(layouts: Mapping[PlaneKind, GridLayout]) -> int:
    """Symbols of a frame, coded or not."""
    return sum(layout.values for layout in layouts.values())


def joined(parts: Sequence[Int16Array | Int32Array]) -> Int32Array:
    """One array of all."""
    return np.concatenate(parts).astype(np.int32) if parts else np.empty(0, np.int32)
