"""The order of a segment's digits, what is expected of each, and how far it may be off.

Steps in time are bisected, so that nearly all of them lie between two known ones, and everything of
a level is coded in a few long calls. A digit is expected where its neighbours in time are, moved as
far as its neighbours in space were; how far it may be off follows from how much those differ.
Integers only; whoever reads, writes or estimates takes the same walk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nvcodec.entropy.digit_tables import UNKNOWN, DigitTables, Visit
from nvcodec.entropy.rans import Int32Array
from nvcodec.errors import BitstreamError

# Part of the bitstream, as is the order.
_UNREST = np.array([0, 1, 2, 3, 3, 4, 4, 5, 5, 5, 6, 6, 6, 6, 7], np.int32)
"""The class of an amount of unrest; beyond the end it is the last."""
MOST_WEIGHT, MOST_STRENGTH = 4, 7
_KINDS = 3
CHOICE_SIZE = _KINDS + 1
"""Bytes of a packed `Choice`."""

_IntArray = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Choice:
    """What an encoder chooses for a segment.

    Steps are of three kinds: the first, which has no neighbour in time; the last, which has the
    first; all others, which have two.

    Attributes:
        scales: Of each kind of what is coded where nothing is restless, 0 to 15.
        weights: Of each kind the quarters of what neighbours in space are off that are expected
            here too, 0 to 4.
        strength: The distribution that a table begins with weighs 2**strength symbols, 0 to 7.
    """

    scales: tuple[int, ...] = (5, 6, 4)
    weights: tuple[int, ...] = (4, 2, 2)
    strength: int = 4

    def pack(self) -> bytes:
        """As it is stored, `CHOICE_SIZE` bytes."""
        kinds = zip(self.scales, self.weights, strict=True)
        return bytes([*(scale | weight << 4 for scale, weight in kinds), self.strength])

    @classmethod
    def unpack(cls, data: bytes) -> Choice:
        """The inverse of `pack`.

        Raises:
            BitstreamError: If a field is out of range.
        """
        *kinds, strength = data
        weights = tuple(byte >> 4 for byte in kinds)
        if strength > MOST_STRENGTH or max(weights) > MOST_WEIGHT:
            raise BitstreamError(
                f"tokens: expected weights to {MOST_WEIGHT} and a strength to {MOST_STRENGTH}, got "
                f"{weights} and {strength}"
            )
        return cls(tuple(byte & 15 for byte in kinds), weights, strength)


class _Level(NamedTuple):
    """Steps that are coded together, in increasing order.

    Attributes:
        kind: 0 the first, 1 the last, 2 between two.
        steps: The steps.
        before: For each the step that it follows, of no meaning for kind 0.
        after: For each the other one that it lies before, of no meaning for kinds 0 and 1.
    """

    kind: int
    steps: list[int]
    before: list[int]
    after: list[int]


def _levels(steps: int) -> Iterator[_Level]:
    """The first step, the last, then again and again those in the middle between known ones."""
    yield _Level(0, [0], [0], [0])
    if steps > 1:
        yield _Level(1, [steps - 1], [0], [0])
    known = [0, steps - 1]
    while True:
        gaps = [(a, b) for a, b in pairwise(known) if b - a > 1]
        if not gaps:
            return
        middles = [(a + b) // 2 for a, b in gaps]
        yield _Level(2, middles, [a for a, _ in gaps], [b for _, b in gaps])
        known = sorted([*known, *middles])


class DigitWalk:
    """The order of the digits of a segment, and their tables; the same for whoever takes it.

    Args:
        shape: Steps, rows, columns, digits a token.
        levels: Values of each digit.
        choice: What the encoder chose.
        visit: Given tables and the number of the table of each symbol, says what these are.
        known: The digits, for an encoder: `known` then has what `visit` is asked for.

    Attributes:
        digits: Those visited so far, shape (digits, steps, rows, columns).
        bits: What they take, shape (steps, rows, columns).
    """

    def __init__(
        self,
        shape: Sequence[int],
        levels: Sequence[int],
        choice: Choice,
        visit: Visit,
        known: npt.NDArray[np.uint8] | None = None,
    ) -> None:
        self._steps, rows, columns, count = shape
        self._choice, self._visit = choice, visit
        self._tops = np.array(levels, np.int32)[:, None, None] - 1
        self._tables = DigitTables(levels, choice.scales, choice.strength)
        self._sides = rows, columns
        odd = ((np.arange(rows)[:, None] + np.arange(columns)) % 2 == 1).ravel()
        self._squares = [np.flatnonzero(~odd), np.flatnonzero(odd)]
        self._around = np.maximum(self._sums(np.ones((1, 1, rows * columns), np.int32))[0, 0], 1)
        self._source = None
        if known is not None:
            planes = np.moveaxis(known, -1, 0).astype(np.int32)
            self._source = planes.reshape(count, self._steps, -1)
        self._digits = np.zeros((count, self._steps, rows * columns), np.int32)
        self._bits = np.zeros((self._steps, rows * columns), np.float32)
        self._wanted = np.empty(0, np.int32)

    @property
    def digits(self) -> _IntArray:
        """See the class."""
        return self._digits.reshape(len(self._digits), self._steps, *self._sides)

    @property
    def bits(self) -> npt.NDArray[np.float32]:
        """See the class."""
        return self._bits.reshape(self._steps, *self._sides)

    def known(self) -> Int32Array:
        """What is visited now, by those who know."""
        return self._wanted

    def run(self) -> None:
        """Visit every digit."""
        for level in _levels(self._steps):
            count, cells = len(self._digits), self._digits.shape[2]
            shape = (count, len(level.steps), cells)
            before, after = self._digits[:, level.before], self._digits[:, level.after]
            if level.kind == 2:
                # In half levels, so that means of two are integers.
                expected = before + after
                apart = np.abs(before - after)
                unrest = 2 * apart + 2 * apart.sum(0) // count + self._sums(apart) // self._around
            else:
                expected = 2 * before if level.kind else np.broadcast_to(self._tops, shape)
                unrest = np.zeros(shape, np.int32)
            self._level(level, expected, unrest, self._choice.weights[level.kind])

    def _level(self, level: _Level, expected: _IntArray, unrest: _IntArray, weight: int) -> None:
        """Visit a level: the even squares of a chessboard, then the odd ones."""
        off = np.zeros(expected.shape, np.int32)
        steps = np.array(level.steps)[:, None]
        for odd, cells in enumerate(self._squares):
            if not cells.size:
                continue
            centre, restless = expected[..., cells], unrest[..., cells]
            if odd:
                around = self._around[cells]
                sums = self._sums(off)[..., cells]
                moved = (np.abs(sums) * weight + 2 * around) // (4 * around)
                centre = np.clip(centre + np.sign(sums) * moved, 0, 2 * self._tops)
                restless = restless + self._sums(np.abs(off))[..., cells] // around
            classes = _UNREST.take(restless, mode="clip")
            if level.kind == 0 and not odd:
                classes = np.full_like(classes, UNKNOWN)
            if self._source is not None:
                self._wanted = self._source[:, steps, cells].ravel()
            digits, bits = self._tables.visit(level.kind, centre, classes, self._visit)
            self._digits[:, steps, cells] = digits
            self._bits[steps, cells] = bits
            if not odd:
                off[..., cells] = 2 * digits - centre

    def _sums(self, values: _IntArray) -> _IntArray:
        """Sums over the up to four neighbours in space, shape (..., cells)."""
        rows, columns = self._sides
        wide = np.zeros((*values.shape[:-1], rows + 2, columns + 2), np.int32)
        wide[..., 1:-1, 1:-1] = values.reshape(*values.shape[:-1], rows, columns)
        summed = wide[..., :-2, 1:-1] + wide[..., 2:, 1:-1]
        summed += wide[..., 1:-1, :-2]
        summed += wide[..., 1:-1, 2:]
        return summed.reshape(values.shape)
