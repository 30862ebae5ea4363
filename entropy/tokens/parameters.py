"""What an encoder chooses for the digits of a segment: how far they follow, and where which scale.

What is expected and how restless it is depends on weights only. For each of these one walk counts
what occurs where; what every scale would cost there follows, and the rest is a search in numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nvcodec.entropy.tokens.context_model import KINDS, TokenContextModel
from nvcodec.entropy.tokens.tables import (
    CLASSES,
    MOST_CHANGE,
    SCALES,
    TokenTables,
    scales_of,
    tables_of,
)
from nvcodec.errors import BitstreamError
from nvcodec.media import Int32Array

MOST_WEIGHT = 4
PARAMETERS_SIZE = KINDS + 1
"""Bytes of the packed numbers of a `CodingParameters`."""
_MARK = 0x80  # tells messages from those of another form, which no release has written
_FIRST_SPREAD = 6
_MOST_MOVES = 400

_Costs = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CodingParameters:
    """What an encoder chooses for a segment.

    Attributes:
        bases: Of each kind of steps the scale that others begin from, 0 to 15.
        weights: Of each kind the quarters of what neighbours in space are off that are expected
            here too, 0 to 4.
        spread: Scale of the table of changes, 0 to 15.
    """

    bases: tuple[int, ...]
    weights: tuple[int, ...]
    spread: int

    def pack(self) -> bytes:
        """As it is stored, `PARAMETERS_SIZE` bytes."""
        kinds = zip(self.bases, self.weights, strict=True)
        return bytes([*(base | weight << 4 for base, weight in kinds), _MARK | self.spread])

    @classmethod
    def unpack(cls, data: bytes) -> CodingParameters:
        """The inverse of `pack`.

        Raises:
            BitstreamError: If a field is out of range.
        """
        *kinds, last = data
        weights = tuple(byte >> 4 for byte in kinds)
        if last & -SCALES != _MARK or max(weights) > MOST_WEIGHT:
            raise BitstreamError(
                f"tokens: expected weights to {MOST_WEIGHT}, then a byte from {_MARK} to "
                f"{_MARK + SCALES - 1}, got {weights} and {last}; a tool from before the first "
                "release may have written them"
            )
        return cls(tuple(byte & 15 for byte in kinds), weights, last & (SCALES - 1))


def starts_of(tables: TokenTables, parameters: CodingParameters, changes: Int32Array) -> Int32Array:
    """The tables of a walk.

    Args:
        tables: All there are.
        parameters: Of the segment.
        changes: Likewise, shape (kinds in use, digits, CLASSES).

    Returns:
        As of `TokenContextModel`.
    """
    scales = scales_of(parameters.bases[: len(changes)], changes)
    scales += SCALES * np.arange(len(tables.starts), dtype=np.int32)[:, None]
    starts = np.zeros((KINDS, *changes.shape[1:]), np.int32)
    starts[: len(changes)] = tables.starts.take(scales)
    return starts


def choose_parameters(
    fsq_indices: npt.NDArray[np.uint8], levels: Sequence[int]
) -> tuple[CodingParameters, Int32Array]:
    """What serves best.

    Args:
        fsq_indices: Shape (t, h, w, n).
        levels: Values of each of the n digits.

    Returns:
        The choice, and changes of scales as of `starts_of`.
    """
    tables, bits = tables_of(tuple(levels)), _bits(tuple(levels))
    kinds = min(len(fsq_indices), KINDS)
    tried = np.stack(
        [_costs(fsq_indices, levels, weight, bits) for weight in range(MOST_WEIGHT + 1)]
    )
    weights = tried.min(-1).sum((2, 3)).argmin(0)
    costs = tried[weights, np.arange(KINDS)][:kinds]
    sizes = np.stack([tables.bits_of(number) for number in tables.of_changes])
    spread = _FIRST_SPREAD
    for _ in range(2):
        found = [_search(cost, sizes[spread]) for cost in costs]
        changes = np.stack([changed for _, changed in found])
        spread = int(sizes[:, changes + MOST_CHANGE].sum((1, 2, 3)).argmin())
    bases = [*(base for base, _ in found), *[0] * (KINDS - kinds)]
    return CodingParameters(tuple(bases), tuple(int(weight) for weight in weights), spread), changes


def _costs(
    fsq_indices: npt.NDArray[np.uint8], levels: Sequence[int], weight: int, sizes: _Costs
) -> _Costs:
    """Bits of all digits of each kind, place in a token and class, at each scale.

    Args:
        fsq_indices: As of `choose_parameters`.
        levels: Likewise.
        weight: Of every kind.
        sizes: What `_bits` says of these levels.

    Returns:
        Shape (KINDS, digits, CLASSES, SCALES).
    """
    count, most = len(levels), max(levels)
    centres = 2 * most - 1
    contexts = np.arange(KINDS * count * CLASSES, dtype=np.int32) * centres
    known = index_planes(fsq_indices)
    model = TokenContextModel(
        fsq_indices.shape,
        levels,
        [weight] * KINDS,
        contexts.reshape(KINDS, count, CLASSES),
        lambda numbers, steps, cells: known[:, steps][:, :, cells].ravel(),
    )
    model.run()
    places = model.numbers.ravel() * most + model.fsq_indices.ravel()
    counts = np.bincount(places, minlength=contexts.size * centres * most)
    shape = (KINDS, count, CLASSES, centres, most)
    costs: _Costs = np.einsum("kncev,nsev->kncs", counts.reshape(shape), sizes)
    return costs


def index_planes(fsq_indices: npt.NDArray[np.uint8]) -> Int32Array:
    """Digits of shape (t, h, w, n) as a walk has them, shape (n, t, h w)."""
    planes: Int32Array = np.moveaxis(fsq_indices, -1, 0).astype(np.int32)
    return planes.reshape(*planes.shape[:2], -1)


def _bits(levels: tuple[int, ...]) -> _Costs:
    """Bits of each digit at each scale, expected value and value; 0 where there is no such."""
    tables, most = tables_of(levels), max(levels)
    bits = np.zeros((len(levels), SCALES, 2 * most - 1, most))
    for place, count in enumerate(levels):
        for scale, start in enumerate(tables.starts[place]):
            for centre in range(2 * count - 1):
                bits[place, scale, centre, :count] = tables.bits_of(start + centre)
    return bits


def _search(costs: _Costs, sizes: npt.NDArray[np.float32]) -> tuple[int, Int32Array]:
    """Scales of one kind of steps, from all alike to where no small move is worth its bits.

    Args:
        costs: Of each scale, shape (digits, CLASSES, SCALES).
        sizes: Bits of each change, from -MOST_CHANGE on.

    Returns:
        Base and changes, shape (digits, CLASSES).
    """
    changes = np.zeros(costs.shape[:2], np.int32)
    rows, columns = np.indices(changes.shape)

    def at(base: int, by: int) -> _Costs:
        """Bits of each place if its scale were other than it is."""
        there: _Costs = costs[rows, columns, scales_of([base + by], changes[None])[0]]
        return there

    def folded(base: int) -> int:
        """The change of all scales, as far as the base can be that much larger or smaller."""
        moved = min(max(base + int(changes[0, 0]), 0), SCALES - 1)
        changes[0, 0] -= moved - base
        return moved

    base = min(range(SCALES), key=lambda base: float(at(base, 0).sum()))
    walls = np.pad(sizes.astype(np.float64), 1, constant_values=np.inf)
    for _ in range(_MOST_MOVES):
        best, move = -1e-6, None
        for by in (-1, 1):
            more = at(base, by) - at(base, 0)
            beyond = more[::-1].cumsum(0)[::-1]  # of this digit and those behind it
            stored = changes + MOST_CHANGE + 1
            add, drop = (np.pad(walls[stored + sign] - walls[stored], (0, 1)) for sign in (by, -by))
            below, beside, across = drop[1:, :-1], drop[:-1, 1:], add[1:, 1:]
            here = add[:-1, :-1]
            if 0 <= base + by < SCALES:
                here[0, 0] = 0  # moves the base instead
            # A change moves every scale behind it, in both directions; others stop that again.
            for stops, worth in (
                ((), here + beyond[:, ::-1].cumsum(1)[:, ::-1]),
                (((1, 0),), here + below + more[:, ::-1].cumsum(1)[:, ::-1]),
                (((0, 1),), here + beside + beyond),
                (((1, 0), (0, 1), (1, 1)), here + below + beside + across + more),
            ):
                if worth.min() < best:
                    best = worth.min()
                    place = np.unravel_index(worth.argmin(), worth.shape)
                    move = by, place, stops
        if move is None:
            break
        by, (row, column), stops = move
        changes[row, column] += by
        for down, right in stops:
            sign = 1 if down and right else -1
            if row + down < len(changes) and column + right < CLASSES:
                changes[row + down, column + right] += sign * by
        base = folded(base)
    return base, changes
