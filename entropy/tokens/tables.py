"""Tables of digits of tokens, and which of them serves where.

A table is a two-sided geometric distribution around an expected value. There is a fixed set of them
for digits of so many levels; a segment says, by a few small numbers, which scale is used where.
Integers only: the same on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from nvcodec.entropy.coder.probability_tables import TOTAL, from_masses
from nvcodec.entropy.coder.rans import Table, TableSet
from nvcodec.media import Int32Array

# All of these are part of the bitstream.
_DECAYS = (64, 1966, 5243, 9830, 14418, 19661, 24904, 30147,
           35389, 40632, 45875, 50463, 55050, 58982, 62259, 65536)  # fmt: skip
"""What a probability falls by in half a level, at each scale, times 65536."""
SCALES = len(_DECAYS)
CLASSES = 10
"""Of unrest; the last one is also that of digits of which nothing is known."""
MOST_CHANGE = 4
_CHANGES = 2 * MOST_CHANGE + 1


class TokenTables(TableSet):
    """All tables of digits with some numbers of levels. Get one from `tables_of`.

    Args:
        levels: Values of each digit of a token, 2 to 16.

    Attributes:
        starts: Of each digit and scale the table for the lowest expected value; those for values
            half a level higher each follow. Shape (digits, SCALES).
        of_changes: Of each scale the table of changes (see `scales_of`), shape (SCALES,).
    """

    def __init__(self, levels: Sequence[int]) -> None:
        firsts: dict[int, Int32Array] = {}
        made: list[Table] = []
        for count in sorted({*levels, _CHANGES}):
            firsts[count] = len(made) + (2 * count - 1) * np.arange(SCALES, dtype=np.int32)
            for scale in range(SCALES):
                made += [Table(0, row) for row in _cumulatives(count, scale)]
        super().__init__(made)
        self.starts = np.stack([firsts[count] for count in levels])
        self.of_changes = firsts[_CHANGES] + _CHANGES - 1


@lru_cache(maxsize=16)
def tables_of(levels: tuple[int, ...]) -> TokenTables:
    """Tables of digits with so many levels; made once, for that takes milliseconds."""
    return TokenTables(levels)


def scales_of(bases: npt.ArrayLike, changes: Int32Array) -> Int32Array:
    """The scale in use for each digit and class.

    Args:
        bases: Of each kind of steps the scale of class 0 if nothing is changed, shape (kinds,);
            each class has one more than the one before.
        changes: What a digit's step from one class to the next has more than that of the digit
            before it, shape (kinds, digits, CLASSES).

    Returns:
        0 to SCALES - 1, of the shape of the changes.
    """
    scales: Int32Array = changes.cumsum(1, np.int32)
    scales.cumsum(2, out=scales)
    scales += np.asarray(bases, np.int32)[:, None, None] + np.arange(CLASSES, dtype=np.int32)
    np.maximum(scales, 0, out=scales)
    np.minimum(scales, SCALES - 1, out=scales)
    return scales


def _cumulatives(count: int, scale: int) -> list[tuple[int, ...]]:
    """Tables of a digit of `count` levels, one for each expected value in half levels."""
    powers = [TOTAL]
    while len(powers) < 2 * count:
        powers.append(powers[-1] * _DECAYS[scale] >> 16)
    return [
        from_masses([powers[abs(2 * value - centre)] for value in range(count)])
        for centre in range(2 * count - 1)
    ]
