"""The order of a segment's digits, what is expected of each, and how far it may be off.

Steps in time are bisected, so that nearly all of them lie between two known ones, and everything of
a level is coded in one or two long calls. A digit is expected where its neighbours in time are,
moved as far as its neighbours in space were; how far it may be off follows from how much those
differ. Integers only; whoever reads, writes or estimates takes the same walk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nvcodec.entropy.tokens.tables import CLASSES
from nvcodec.media import Int32Array

Positions = npt.NDArray[np.intp]

# All of these are part of the bitstream, as is the order.
KINDS = 3
"""Of steps: the first, which has no neighbour in time; the last, which has the first; all others,
which have two."""
_UNREST = np.repeat(np.arange(CLASSES), (1, 2, 2, 2, 2, 3, 3, 4, 5, 1))
"""The class of an amount of unrest in half levels; beyond the end it is the last."""
_FEW = 64
"""Of grids with fewer cells each level but the first is coded in one call: what their neighbours in
space would save is little, and calls take time however few tokens they have."""

Visit = Callable[[Int32Array, Positions, Positions], Int32Array]
"""Given the number of the table of each digit, shape (N,), and of which steps and cells these are
(digit after digit, in a digit step after step), says what the digits are, shape (N,)."""


class _Level(NamedTuple):
    """Steps that are coded together, in increasing order.

    Attributes:
        kind: 0 the first, 1 the last, 2 between two.
        steps: The steps.
        before: For each the step that it follows, of no meaning for kind 0.
        after: For each the other one that it lies before, of no meaning for kinds 0 and 1.
    """

    kind: int
    steps: Positions
    before: Positions
    after: Positions


@lru_cache(maxsize=8)
def _levels(steps: int) -> tuple[_Level, ...]:
    """The first step, the last, then again and again those in the middle between known ones."""
    levels = [_Level(0, *map(_fixed, ([0], [0], [0])))]
    if steps > 1:
        levels.append(_Level(1, *map(_fixed, ([steps - 1], [0], [0]))))
    known = [0, steps - 1]
    while gaps := [(a, b) for a, b in pairwise(known) if b - a > 1]:
        middles = [(a + b) // 2 for a, b in gaps]
        levels.append(_Level(2, *map(_fixed, (middles, *zip(*gaps, strict=True)))))
        known = sorted([*known, *middles])
    return tuple(levels)


class TokenContextModel:
    """The order of the digits of a segment, and their tables; the same for whoever takes it.

    Args:
        shape: Steps, rows, columns, digits a token.
        levels: Values of each digit.
        weights: Of each kind of steps the quarters of what neighbours in space are off that are
            expected here too, 0 to 4.
        starts: Of each kind, digit and class of unrest the number of the table for the lowest
            expected value, shape (KINDS, digits, CLASSES); those for higher ones follow.
        visit: See `Visit`.

    Attributes:
        fsq_indices: Those visited so far, shape (digits, steps, cells).
        numbers: Of their tables, same shape.
    """

    def __init__(
        self,
        shape: Sequence[int],
        levels: Sequence[int],
        weights: Sequence[int],
        starts: Int32Array,
        code: Visit,
    ) -> None:
        self._steps, rows, columns, count = shape
        self._weights, self._visit = weights, code
        self._tops = np.array(levels, np.int32)[:, None, None] - 1
        # By unrest as it is counted, not class; of all digits one behind the other.
        classes, self._rows = _by_unrest(count)
        self._most = len(classes) - 1
        self._starts = starts.take(classes, -1).reshape(KINDS, -1)
        self._all, self._even, self._odd = _chessboard(rows, columns)
        self.fsq_indices = np.zeros((count, self._steps, rows * columns), np.int32)
        self.numbers = np.zeros_like(self.fsq_indices)

    def run(self) -> None:
        """Visit every digit."""
        for level in _levels(self._steps):
            self._level(level, *self._from_time(level))

    def _from_time(self, level: _Level) -> tuple[Int32Array, Int32Array]:
        """What neighbours in time let expect, in half levels, and the unrest of these.

        Unrest is counted in levels times digits a token, as means over these are to be integers.
        """
        count, _, cells = self.fsq_indices.shape
        shape = (count, len(level.steps), cells)
        before = self.fsq_indices.take(level.before, 1)
        if level.kind < 2:
            still = np.zeros(shape, np.int32)
            return (2 * before if level.kind else still + self._tops), still
        after = self.fsq_indices.take(level.after, 1)
        apart = np.zeros((*shape[:2], cells + 1), np.int32)
        here = apart[..., :cells]
        np.abs(np.subtract(before, after, out=here), out=here)
        activity = count * here
        activity += _total(here, 0)
        activity *= 2
        activity += self._all.mean(apart.take(self._all.around, -1))
        before += after
        return before, activity

    def _level(self, level: _Level, expected: Int32Array, activity: Int32Array) -> None:
        """Visit a level: all at once, or the even squares of a chessboard and then the odd ones."""
        count, steps, cells = expected.shape
        if level.kind == 0:
            activity += self._most  # more cannot be
        if (level.kind > 0 and cells < _FEW) or not self._odd.cells.size:
            found, numbers = self._call(level, self._all, expected, activity)
        else:
            found, numbers = np.empty_like(expected), np.empty_like(expected)
            off = np.zeros((count, steps, cells + 1), np.int32)
            squares = self._even
            centres = expected.take(squares.cells, -1)
            symbols, tables = self._call(level, squares, centres, activity.take(squares.cells, -1))
            found[..., squares.cells], numbers[..., squares.cells] = symbols, tables
            off[..., squares.cells] = 2 * symbols - centres
            squares = self._odd
            near = off.take(squares.around, -1)
            moves = _total(near, -2)
            moves *= self._weights[level.kind] * squares.share
            centres = expected.take(squares.cells, -1) + ((moves + 8192) >> 14)
            np.maximum(centres, 0, out=centres)
            np.minimum(centres, 2 * self._tops, out=centres)
            restless = squares.mean(np.abs(near, out=near))
            if level.kind:
                restless += activity.take(squares.cells, -1)
            symbols, tables = self._call(level, squares, centres, restless)
            found[..., squares.cells], numbers[..., squares.cells] = symbols, tables
        self.fsq_indices[:, level.steps] = found
        self.numbers[:, level.steps] = numbers

    def _call(
        self, level: _Level, squares: _Squares, centres: Int32Array, activity: Int32Array
    ) -> tuple[Int32Array, Int32Array]:
        """Visit the digits of some cells: what they are, and the numbers of their tables."""
        places = np.minimum(activity, self._most)
        places += self._rows
        tables = self._starts[level.kind].take(places)
        tables += centres
        symbols = self._visit(tables.ravel(), level.steps, squares.cells)
        return symbols.reshape(tables.shape), tables


class _Squares(NamedTuple):
    """Some cells of a grid, and their neighbours in space.

    Attributes:
        cells: Their numbers, shape (C,).
        around: The cells to the left and right, above and below; for those outside of the grid the
            number beyond the last one. Shape (4, C).
        share: Of each neighbour in means, of 4096, shape (C,).
    """

    cells: Positions
    around: Positions
    share: Int32Array

    def mean(self, near: Int32Array) -> Int32Array:
        """Of the neighbours of each cell the mean, times digits, plus that of all digits.

        Args:
            near: Their values, not negative, shape (digits, steps, 4, C).

        Returns:
            Shape (digits, steps, C).
        """
        summed = _total(near, -2)
        summed = len(near) * summed + _total(summed, 0)
        summed *= self.share
        summed >>= 12
        return summed


@lru_cache(maxsize=2)
def _chessboard(rows: int, columns: int) -> tuple[_Squares, _Squares, _Squares]:
    """All cells of a grid, and those squares of a chessboard whose row + column is even, and odd."""
    size = rows * columns
    numbers = np.full((rows + 2, columns + 2), size)
    numbers[1:-1, 1:-1] = np.arange(size).reshape(rows, columns)
    sides = numbers[1:-1, :-2], numbers[1:-1, 2:], numbers[:-2, 1:-1], numbers[2:, 1:-1]
    around = np.stack([side.ravel() for side in sides])
    share = (4096 // np.maximum((around < size).sum(0), 1)).astype(np.int32)
    colour = np.indices((rows, columns)).sum(0).ravel() % 2
    everything, even, odd = (
        _Squares(_fixed(cells), _fixed(around[:, cells]), _fixed(share[cells]))
        for cells in (np.arange(size), np.flatnonzero(colour == 0), np.flatnonzero(colour))
    )
    return everything, even, odd


@lru_cache(maxsize=16)
def _by_unrest(count: int) -> tuple[Positions, Int32Array]:
    """The class of unrest from 0 to what is as good as any more, and where each digit's begin.

    Args:
        count: Digits of a token, which unrest is counted times.
    """
    classes = _UNREST[2 * np.arange((len(_UNREST) - 1) * count // 2 + 1) // count]
    rows = len(classes) * np.arange(count, dtype=np.int32)
    return _fixed(classes), _fixed(rows[:, None, None])


def _fixed(values: npt.ArrayLike) -> Any:
    """As an array that nobody can change, for it is kept."""
    array = np.array(values)
    array.flags.writeable = False
    return array


def _total(values: Int32Array, axis: int) -> Int32Array:
    summed: Int32Array = np.add.reduce(values, axis, np.int32)
    return summed
