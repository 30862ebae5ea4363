"""Digits of tokens to bytes and back: integer contexts, and frequencies that follow what was coded.

A segment's steps in time are bisected, so that nearly all of them lie between two known ones, and
everything of a level is coded in a few long calls. A digit is expected where its neighbours in time
are, moved as far as its neighbours in space were; how far it may be off follows from how much those
differ. Tables begin as two-sided geometric distributions around the expected value and learn from
every call. All of it is integer arithmetic, and all that a decoder needs is in the message.
Normative description: `docs/bitstream.md`. No torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nvcodec.entropy import rans
from nvcodec.entropy.rans import FrequencyRows, Int32Array, TableSet
from nvcodec.entropy.tables import PRECISION, TOTAL
from nvcodec.errors import BitstreamError, TruncatedStreamError

# All of these are part of the bitstream.
_DECAYS = (0, 1966, 5243, 9830, 14418, 19661, 24904, 30147,
           35389, 40632, 45875, 50463, 55050, 58982, 62259, 65536)  # fmt: skip
"""What a probability falls by in half a level, at each scale, times 65536."""
_FLAT = len(_DECAYS) - 1
_UNREST = np.array([0, 1, 2, 3, 3, 4, 4, 5, 5, 5, 6, 6, 6, 6, 7], np.int32)
"""The class of an amount of unrest; beyond the end it is the last."""
_CLASSES = 9  # those, and one for what nothing is known of
_UNKNOWN = _CLASSES - 1
_ONE = 4096  # what a symbol that was coded weighs
_MOST_WEIGHT, _MOST_STRENGTH = 4, 7
_KINDS = 3
_TOKENS_PER_BYTE = 1024
"""A message of n bytes holds at most so many times n tokens: memory stays in proportion."""
_HEADER = _KINDS + 1

_IntArray = npt.NDArray[np.int32]
_Visit = Callable[[Int32Array, FrequencyRows], Int32Array]


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is chosen for the steps of a kind.

    Attributes:
        scale: Of what is coded where nothing is restless, 0 to 15.
        weight: Quarters of what neighbours in space are off that are expected here too, 0 to 4.
    """

    scale: int
    weight: int


@dataclass(frozen=True, slots=True)
class _Choice:
    """What an encoder chooses for a segment.

    Attributes:
        first: For the first step, which has no neighbour in time.
        last: For the last step, which has the first.
        between: For all others, which have two.
        strength: The distribution that a table begins with weighs 2**strength symbols.
    """

    first: _Kind = _Kind(5, 4)
    last: _Kind = _Kind(6, 2)
    between: _Kind = _Kind(4, 2)
    strength: int = 4

    def pack(self) -> bytes:
        """As it is stored."""
        kinds = (self.first, self.last, self.between)
        return bytes([*(kind.scale | kind.weight << 4 for kind in kinds), self.strength])

    @classmethod
    def unpack(cls, data: bytes) -> _Choice:
        """The inverse of `pack`."""
        kinds = [_Kind(byte & 15, byte >> 4) for byte in data[:_KINDS]]
        strength = data[_KINDS]
        if strength > _MOST_STRENGTH or any(kind.weight > _MOST_WEIGHT for kind in kinds):
            raise BitstreamError(f"digits: a choice is out of range in {data.hex()}")
        return cls(*kinds, strength)


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


def encode_digits(digits: npt.NDArray[np.uint8], levels: Sequence[int]) -> bytes:
    """Code the tokens of a segment.

    Args:
        digits: Shape (t, h, w, n), none of them 0.
        levels: Values of each of the n digits, 2 to 16.

    Returns:
        A message that `decode_digits` reads; zero bytes at its end mean nothing.
    """
    kept = _Choice()
    least = _estimate(digits, levels, kept)
    for choice in _variations(digits.shape[0]):
        tried = choice(kept)
        if tried != kept and (bits := _estimate(digits, levels, tried)) < least:
            kept, least = tried, bits
    tables = TableSet()
    symbols: list[Int32Array] = []
    numbers: list[Int32Array] = []

    def visit(used: Int32Array, rows: FrequencyRows) -> Int32Array:
        places = [
            tables.number(0, tuple(row[: size - 1]))
            for row, size in zip(rows.cumulatives, rows.sizes, strict=True)
        ]
        numbers.append(np.array(places, np.int32)[used])
        symbols.append(walk.known())
        return symbols[-1]

    walk = _Walk(digits.shape, levels, kept, visit, digits)
    walk.run()
    message = rans.encode(np.concatenate(symbols), np.concatenate(numbers), tables)
    short = -(-digits[..., 0].size // _TOKENS_PER_BYTE) - _HEADER - len(message)
    return kept.pack() + message + bytes(max(short, 0))


def decode_digits(
    data: bytes, shape: tuple[int, int, int], levels: Sequence[int]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """The tokens of a segment, and what each of them takes.

    Args:
        data: What `encode_digits` returned.
        shape: Steps, rows and columns, at least 1.
        levels: Values of each of the n digits, 2 to 16.

    Returns:
        Digits, shape (*shape, n), and bits, shape `shape`.

    Raises:
        BitstreamError: If the message is malformed, or too short for so many tokens.
    """
    tokens = int(np.prod([int(side) for side in shape], dtype=object))
    if len(data) < _HEADER or tokens > _TOKENS_PER_BYTE * len(data):
        raise TruncatedStreamError(f"digits: {len(data)} bytes cannot hold {tokens} tokens")
    choice = _Choice.unpack(data[:_HEADER])
    stream = rans.Stream(data[_HEADER:], tokens * len(levels))
    walk = _Walk((*shape, len(levels)), levels, choice, stream.decode)
    walk.run()
    return np.ascontiguousarray(np.moveaxis(walk.digits, 0, -1)).astype(np.uint8), walk.bits


def _estimate(
    digits: npt.NDArray[np.uint8], levels: Sequence[int], choice: _Choice
) -> float:
    """Bits of a message."""
    walk = _Walk(digits.shape, levels, choice, lambda numbers, rows: walk.known(), digits)
    walk.run()
    return float(walk.bits.sum(dtype=np.float64))


def _variations(steps: int) -> Iterator[Callable[[_Choice], _Choice]]:
    """What to try, each on top of the best so far."""

    def scaled(name: str, by: int) -> Callable[[_Choice], _Choice]:
        def vary(choice: _Choice) -> _Choice:
            kind: _Kind = getattr(choice, name)
            return replace(choice, **{name: replace(kind, scale=min(max(kind.scale + by, 0), 15))})

        return vary

    def weighted(name: str, weight: int) -> Callable[[_Choice], _Choice]:
        def vary(choice: _Choice) -> _Choice:
            return replace(choice, **{name: replace(getattr(choice, name), weight=weight)})

        return vary

    def strong(strength: int) -> Callable[[_Choice], _Choice]:
        return lambda choice: replace(choice, strength=strength)

    kinds = ("first", "last", "between")[: min(steps, _KINDS)]
    for name in reversed(kinds):
        yield from (scaled(name, by) for by in (-4, 4, -2, 2, -1, 1))
        yield from (weighted(name, weight) for weight in range(_MOST_WEIGHT + 1))
    yield from (strong(strength) for strength in (2, 3, 5, 6))


def _levels(steps: int) -> Iterator[_Level]:
    """The first step, the last, then again and again those in the middle between known ones."""
    yield _Level(0, [0], [0], [0])
    if steps > 1:
        yield _Level(1, [steps - 1], [0], [0])
    known = [0, steps - 1]
    while True:
        gaps = [(a, b) for a, b in zip(known, known[1:], strict=False) if b - a > 1]
        if not gaps:
            return
        middles = [(a + b) // 2 for a, b in gaps]
        yield _Level(2, middles, [a for a, _ in gaps], [b for _, b in gaps])
        known = sorted([*known, *middles])


class _Walk:
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
        choice: _Choice,
        visit: _Visit,
        known: npt.NDArray[np.uint8] | None = None,
    ) -> None:
        self._steps, rows, columns, count = shape
        self._choice, self._visit = choice, visit
        self._tops = np.array(levels, np.int32)[:, None, None] - 1
        self._groups = [
            _Group(first, levels[first:stop], choice)
            for first, stop in ((0, 1), (1, 3), (3, count))
            if first < stop and first < count
        ]
        self._sides = rows, columns
        y, x = np.mgrid[:rows, :columns]
        odd = ((y + x) % 2 == 1).ravel()
        self._squares = [np.flatnonzero(~odd), np.flatnonzero(odd)]
        self._around = np.maximum(self._sums(np.ones((1, 1, rows * columns), np.int32))[0, 0], 1)
        self._source = None
        if known is not None:
            self._source = np.moveaxis(known, -1, 0).reshape(count, self._steps, -1)
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
        kinds = (self._choice.first, self._choice.last, self._choice.between)
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
            self._level(level, expected, unrest, kinds[level.kind].weight)

    def _level(self, level: _Level, expected: _IntArray, unrest: _IntArray, weight: int) -> None:
        """Visit a level: the even squares of a chessboard, then the odd ones."""
        off = np.zeros(expected.shape, np.int32)
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
            missed = np.zeros(centre.shape[1:], np.int32)
            place = np.ix_(level.steps, cells)
            for group in self._groups:
                part = slice(group.first, group.stop)
                if group.first:
                    late = restless[part] + 2 * missed // group.first
                    classes = _UNREST.take(late, mode="clip")
                else:
                    classes = _UNREST.take(restless[part], mode="clip")
                if level.kind == 0 and not odd:
                    classes = np.full_like(classes, _UNKNOWN)
                if self._source is not None:
                    found = self._source[part][:, level.steps][..., cells]
                    self._wanted = found.ravel().astype(np.int32)
                digits, bits = group.visit(level.kind, centre[part], classes, self._visit)
                for number, values in enumerate(digits, group.first):
                    self._digits[number][place] = values
                self._bits[place] += bits
                missed += np.abs(2 * digits - centre[part]).sum(0)
                off[part, :, cells] = 2 * digits - expected[part][..., cells]

    def _sums(self, values: _IntArray) -> _IntArray:
        """Sums over the up to four neighbours in space, shape (..., cells)."""
        rows, columns = self._sides
        wide = np.zeros((*values.shape[:-1], rows + 2, columns + 2), np.int32)
        wide[..., 1:-1, 1:-1] = values.reshape(*values.shape[:-1], rows, columns)
        summed = wide[..., :-2, 1:-1] + wide[..., 2:, 1:-1]
        summed += wide[..., 1:-1, :-2]
        summed += wide[..., 1:-1, 2:]
        return summed.reshape(values.shape)


class _Group:
    """Digits of a token that are coded in one call, and their tables.

    Args:
        first: Number of the first one.
        levels: Values of each.
        choice: What the encoder chose.

    Attributes:
        first: As given.
        stop: Number of the digit after the last.
    """

    def __init__(self, first: int, levels: Sequence[int], choice: _Choice) -> None:
        self.first, self.stop = first, first + len(levels)
        self._levels = np.array(levels, np.int64)
        scales = tuple(kind.scale for kind in (choice.first, choice.last, choice.between))
        self._begin = _beginnings(tuple(levels), scales) << choice.strength
        self._centres = 2 * max(levels) - 1
        # Of every table the symbols coded with it.
        self._counts = np.zeros(self._begin.shape, np.int64)

    def visit(
        self, kind: int, centres: _IntArray, classes: _IntArray, visit: _Visit
    ) -> tuple[_IntArray, npt.NDArray[np.float32]]:
        """Visit digits; tables learn from them afterwards.

        Args:
            kind: Of the steps.
            centres: What is expected, half levels, shape (digits, steps, cells).
            classes: Of unrest, same shape.
            visit: As for `_Walk`.

        Returns:
            Digits, same shape, and bits of tokens, shape (steps, cells).
        """
        own = np.arange(len(centres), dtype=np.int32)[:, None, None] + len(centres) * kind
        tables = (((own * self._centres) + centres) * _CLASSES + classes).ravel()
        seen = np.bincount(tables, minlength=len(self._begin))
        used = np.flatnonzero(seen)
        levels = self._levels[used // (self._centres * _CLASSES) % len(self._levels)]
        rows = FrequencyRows(_frequencies(self._begin[used] + _ONE * self._counts[used], levels), levels)
        places = np.zeros(len(seen), np.int32)
        places[used] = np.arange(len(used))
        numbers = places[tables]
        symbols = visit(numbers, rows)
        values = self._counts.shape[1]
        self._counts += np.bincount(
            tables * values + symbols, minlength=self._counts.size
        ).reshape(self._counts.shape)
        bits = rows.bits[numbers, symbols].reshape(centres.shape).sum(0)
        return symbols.reshape(centres.shape), bits


@lru_cache(maxsize=64)
def _beginnings(levels: tuple[int, ...], scales: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """What the symbols of all tables of a group weigh at first, times 4096 in all or a little less.

    Returns:
        Shape (kinds x digits x centres x classes, values).
    """
    most = max(levels)
    powers = np.empty((len(_DECAYS), 4 * most), np.int64)
    powers[:, 0] = TOTAL
    for k in range(1, powers.shape[1]):
        powers[:, k] = powers[:, k - 1] * np.array(_DECAYS) >> 16
    values = np.arange(most)
    centres = np.arange(2 * most - 1)
    far = np.abs(2 * values - centres[:, None])
    made = np.zeros((len(scales), len(levels), len(centres), _CLASSES, most), np.int64)
    for kind, scale in enumerate(scales):
        for digit, count in enumerate(levels):
            for unrest in range(_CLASSES):
                index = _FLAT if unrest == _UNKNOWN else min(scale + unrest, _FLAT)
                masses = powers[index][far] * (values < count)
                whole = np.maximum(masses.sum(1, keepdims=True), 1)
                made[kind, digit, :, unrest] = masses * _ONE // whole
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
