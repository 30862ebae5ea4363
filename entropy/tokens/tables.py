"""Probability tables of FSQ indices, and the scale that serves each context.

A table is a two-sided geometric distribution around an expected index. There is a fixed set of
tables for every number of FSQ levels. A segment states, in a few small numbers, which scale each
context uses. All arithmetic is on integers and gives the same tables on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from nvcodec.entropy.coder.frequency_tables import FrequencyTable, TableSet
from nvcodec.entropy.coder.probability_tables import TOTAL, from_masses
from nvcodec.media import Int32Array

# All of these are part of the bitstream.
_DECAYS = (64, 1966, 5243, 9830, 14418, 19661, 24904, 30147,
           35389, 40632, 45875, 50463, 55050, 58982, 62259, 65536)  # fmt: skip
"""Decay of a probability over half an FSQ level, at each scale, times 65536."""
SCALES = len(_DECAYS)
CLASSES = 10
"""Number of activity classes; the last one also serves indices without any context."""
MAX_CHANGE = 4
_CHANGES = 2 * MAX_CHANGE + 1


class TokenTables(TableSet):
    """All tables of tokens with given numbers of FSQ levels; `token_tables` caches them.

    Args:
        levels: Number of FSQ levels of each channel of a token, 2 to 16.

    Attributes:
        starts: Number of the table for the lowest expected index, by dimension and scale, shape
            (channels, SCALES). Tables for expected indices that are half a level higher each
            follow.
        of_changes: Number of the table of changes (see `scale_indices`) at each scale, shape
            (SCALES,).
    """

    def __init__(self, levels: Sequence[int]) -> None:
        firsts: dict[int, Int32Array] = {}
        tables: list[FrequencyTable] = []
        for count in sorted({*levels, _CHANGES}):
            firsts[count] = len(tables) + (2 * count - 1) * np.arange(SCALES, dtype=np.int32)
            for scale in range(SCALES):
                tables += [FrequencyTable(0, row) for row in _cumulatives(count, scale)]
        super().__init__(tables)
        self.starts = np.stack([firsts[count] for count in levels])
        self.of_changes = firsts[_CHANGES] + _CHANGES - 1


@lru_cache(maxsize=16)
def token_tables(levels: tuple[int, ...]) -> TokenTables:
    """Return the tables of tokens with given numbers of FSQ levels. They are cached."""
    return TokenTables(levels)


def scale_indices(bases: npt.ArrayLike, changes: Int32Array) -> Int32Array:
    """Return the scale in use for each channel and activity class.

    Args:
        bases: Scale of class 0 without changes for each kind of token step, shape (kinds,); each
            class has a scale one above that of the class before.
        changes: Second differences of the scales: how much more a channel's scale grows from one
            class to the next than that of the channel before it, shape (kinds, channels,
            CLASSES).

    Returns:
        0 to SCALES - 1, shape of the changes.
    """
    scales: Int32Array = changes.cumsum(1, np.int32)
    scales.cumsum(2, out=scales)
    scales += np.asarray(bases, np.int32)[:, None, None] + np.arange(CLASSES, dtype=np.int32)
    np.maximum(scales, 0, out=scales)
    np.minimum(scales, SCALES - 1, out=scales)
    return scales


def _cumulatives(count: int, scale: int) -> list[tuple[int, ...]]:
    """Return the tables of an index with `count` levels, one for each expected index.

    Expected indices are half a level apart.
    """
    powers = [TOTAL]
    while len(powers) < 2 * count:
        powers.append(powers[-1] * _DECAYS[scale] >> 16)
    return [
        from_masses([powers[abs(2 * value - centre)] for value in range(count)])
        for centre in range(2 * count - 1)
    ]
