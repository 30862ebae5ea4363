"""Tables of digits of tokens: what they begin as, and how they follow what was coded with them.

A table begins as a two-sided geometric distribution around the expected value and learns from every
call. Integers only: the same on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from nvcodec.entropy.rans import FrequencyRows, Int32Array, in_use
from nvcodec.entropy.tables import TOTAL

# All of these are part of the bitstream.
_DECAYS = (64, 1966, 5243, 9830, 14418, 19661, 24904, 30147,
           35389, 40632, 45875, 50463, 55050, 58982, 62259, 65536)  # fmt: skip
"""What a probability falls by in half a level, at each scale, times 65536."""
_FLAT = len(_DECAYS) - 1
_CLASSES = 9  # of unrest, the last one for what nothing is known of
UNKNOWN = _CLASSES - 1
_ONE = 4096  # what a symbol that was coded weighs

_IntArray = npt.NDArray[np.int32]
Visit = Callable[[Int32Array, FrequencyRows], Int32Array]
"""Given the number of the table of each symbol, and the tables, says what the symbols are."""


class DigitTables:
    """Tables of all digits of a token.

    Args:
        levels: Values of each digit.
        scales: Of each kind of steps, 0 to 15.
        strength: What a table begins with weighs 2**strength symbols.
    """

    def __init__(self, levels: Sequence[int], scales: tuple[int, ...], strength: int) -> None:
        self._levels = np.array(levels, np.int64)
        # Of every kind of steps: what its tables begin as, and the symbols coded with each since.
        self._begin = [_beginning(tuple(levels), scale) << strength for scale in scales]
        self._counts = [np.zeros(begin.shape, np.int64) for begin in self._begin]
        self._centres = 2 * max(levels) - 1

    def visit(
        self, kind: int, centres: _IntArray, classes: _IntArray, visit: Visit
    ) -> tuple[_IntArray, npt.NDArray[np.float32]]:
        """Visit digits; tables learn from them afterwards.

        Args:
            kind: Of the steps.
            centres: What is expected, half levels, shape (digits, steps, cells).
            classes: Of unrest, same shape.
            visit: See `Visit`.

        Returns:
            Digits, same shape, and bits of tokens, shape (steps, cells).
        """
        begin, counts = self._begin[kind], self._counts[kind]
        digits = np.arange(len(centres), dtype=np.int32)[:, None, None]
        tables = ((digits * self._centres + centres) * _CLASSES + classes).ravel()
        used, numbers = in_use(tables, len(begin))
        levels = self._levels[used // (self._centres * _CLASSES)]
        rows = FrequencyRows(_frequencies(begin[used] + _ONE * counts[used], levels), levels)
        symbols = visit(numbers, rows)
        shape = len(used), counts.shape[1]
        coded = np.bincount(numbers * shape[1] + symbols, minlength=shape[0] * shape[1])
        counts[used] += coded.reshape(shape)
        bits = rows.bits[numbers, symbols].reshape(centres.shape).sum(0)
        return symbols.reshape(centres.shape), bits


@lru_cache(maxsize=256)
def _beginning(levels: tuple[int, ...], scale: int) -> npt.NDArray[np.int64]:
    """What the symbols of a kind's tables weigh at first, 4096 in all or a little less.

    Returns:
        Shape (digits x centres x classes, values).
    """
    most = max(levels)
    powers = np.empty((len(_DECAYS), 2 * most), np.int64)
    powers[:, 0] = TOTAL
    for k in range(1, powers.shape[1]):
        powers[:, k] = powers[:, k - 1] * np.array(_DECAYS) >> 16
    values, centres = np.arange(most), np.arange(2 * most - 1)
    scales = [min(scale + unrest, _FLAT) for unrest in range(UNKNOWN)] + [_FLAT]
    # A table of few levels is never asked for a centre beyond them.
    far = np.abs(2 * values - centres[:, None])
    masses = np.moveaxis(powers[scales][:, far], 0, 1)
    there = values < np.array(levels)[:, None, None, None]
    masses = masses * there
    whole = np.maximum(masses.sum(-1, keepdims=True), 1)
    made: npt.NDArray[np.int64] = masses * _ONE // whole
    return made.reshape(-1, most)


def _frequencies(
    masses: npt.NDArray[np.int64], levels: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Frequencies of at least 1 that sum to 65536, as `nvcodec.entropy.tables.from_masses`.

    Args:
        masses: Shape (N, values), 0 beyond a table's levels.
        levels: Of each table, shape (N,).

    Returns:
        Shape (N, values), 0 beyond a table's levels.
    """
    whole = np.maximum(masses.sum(1), 1)
    made: npt.NDArray[np.int64] = masses * (TOTAL - levels)[:, None] // whole[:, None]
    made += np.arange(masses.shape[1]) < levels[:, None]
    made[np.arange(len(made)), masses.argmax(1)] += TOTAL - made.sum(1)
    return made
