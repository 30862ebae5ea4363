"""Parameter search of the token encoder: scales of contexts and weights of the spatial correction.

Expected indices and activity depend on the weights only. For every weight, one run of the context
model counts the indices in each context. From these counts follow the costs at every scale, and the
search itself works on these costs alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nvcodec.entropy.tokens.context_model import KINDS, TokenContextModel
from nvcodec.entropy.tokens.tables import (
    CLASSES,
    MAX_CHANGE,
    SCALES,
    TokenTables,
    scale_indices,
    token_tables,
)
from nvcodec.errors import BitstreamError
from nvcodec.media import Int32Array

MAX_WEIGHT = 4
PARAMETERS_SIZE = KINDS + 1
"""Size of packed `CodingParameters` in bytes."""
_MARK = 0x80  # distinguishes messages from an older form, which no release has written
_FIRST_SPREAD = 6
_MAX_MOVES = 400

_Costs = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CodingParameters:
    """The parameters that an encoder chooses for a segment.

    Attributes:
        bases: Base scale of each kind of token step, 0 to 15, which others are derived from.
        weights: Share of the neighbours' mean error that corrects the expected index, in quarters,
            0 to 4; one for each kind.
        spread: Scale of the table of changes, 0 to 15.
    """

    bases: tuple[int, ...]
    weights: tuple[int, ...]
    spread: int

    def pack(self) -> bytes:
        """Return the parameters as `PARAMETERS_SIZE` bytes."""
        kinds = zip(self.bases, self.weights, strict=True)
        return bytes([*(base | weight << 4 for base, weight in kinds), _MARK | self.spread])

    @classmethod
    def unpack(cls, data: bytes) -> CodingParameters:
        """Parse what `pack` returned.

        Raises:
            BitstreamError: If a field is out of range.
        """
        *kinds, last = data
        weights = tuple(byte >> 4 for byte in kinds)
        if last & -SCALES != _MARK or max(weights) > MAX_WEIGHT:
            raise BitstreamError(
                f"tokens: expected weights to {MAX_WEIGHT}, then a byte from {_MARK} to "
                f"{_MARK + SCALES - 1}, got {weights} and {last}; a tool from before the first "
                "release may have written them"
            )
        return cls(tuple(byte & 15 for byte in kinds), weights, last & (SCALES - 1))


def first_tables(
    tables: TokenTables, parameters: CodingParameters, changes: Int32Array
) -> Int32Array:
    """Return the table of the lowest expected index for each context; see `TokenContextModel`.

    Args:
        tables: All tables.
        parameters: Parameters of the segment.
        changes: Changes of the segment's scales, shape (kinds in use, channels, CLASSES).

    Returns:
        Shape (KINDS, channels, CLASSES).
    """
    scales = scale_indices(parameters.bases[: len(changes)], changes)
    scales += SCALES * np.arange(len(tables.starts), dtype=np.int32)[:, None]
    starts = np.zeros((KINDS, *changes.shape[1:]), np.int32)
    starts[: len(changes)] = tables.starts.take(scales)
    return starts


def choose_parameters(
    fsq_indices: npt.NDArray[np.uint8], levels: Sequence[int]
) -> tuple[CodingParameters, Int32Array]:
    """Choose the parameters and scales that cost fewest bits.

    Args:
        fsq_indices: Shape (t, h, w, n).
        levels: Number of FSQ levels of each of the n channels.

    Returns:
        The parameters, and changes of scales, shape (kinds in use, channels, CLASSES).
    """
    tables, bits = token_tables(tuple(levels)), _code_lengths(tuple(levels))
    kinds = min(len(fsq_indices), KINDS)
    costs_by_weight = np.stack(
        [_scale_costs(fsq_indices, levels, weight, bits) for weight in range(MAX_WEIGHT + 1)]
    )
    weights = costs_by_weight.min(-1).sum((2, 3)).argmin(0)
    costs = costs_by_weight[weights, np.arange(KINDS)][:kinds]
    change_bits = np.stack([tables.bits_of(number) for number in tables.of_changes])
    spread = _FIRST_SPREAD
    for _ in range(2):
        searches = [_search(cost, change_bits[spread]) for cost in costs]
        changes = np.stack([found_changes for _, found_changes in searches])
        spread = int(change_bits[:, changes + MAX_CHANGE].sum((1, 2, 3)).argmin())
    bases = [*(base for base, _ in searches), *[0] * (KINDS - kinds)]
    return CodingParameters(tuple(bases), tuple(int(weight) for weight in weights), spread), changes


def _scale_costs(
    fsq_indices: npt.NDArray[np.uint8], levels: Sequence[int], weight: int, code_lengths: _Costs
) -> _Costs:
    """Return the bits of all indices of each kind of step, channel and class, at each scale.

    Args:
        fsq_indices: Shape (t, h, w, n).
        levels: Number of FSQ levels of each of the n channels.
        weight: Weight of the spatial correction, for every kind of step.
        code_lengths: What `_code_lengths` returned for these levels.

    Returns:
        Shape (KINDS, channels, CLASSES, SCALES).
    """
    count, max_levels = len(levels), max(levels)
    centres = 2 * max_levels - 1
    contexts = np.arange(KINDS * count * CLASSES, dtype=np.int32) * centres
    planes = index_planes(fsq_indices)
    model = TokenContextModel(
        fsq_indices.shape,
        levels,
        [weight] * KINDS,
        contexts.reshape(KINDS, count, CLASSES),
        lambda numbers, time_steps, cells: planes[:, time_steps][:, :, cells].ravel(),
    )
    model.run()
    places = model.numbers.ravel() * max_levels + model.fsq_indices.ravel()
    counts = np.bincount(places, minlength=contexts.size * centres * max_levels)
    shape = (KINDS, count, CLASSES, centres, max_levels)
    costs: _Costs = np.einsum("kncev,nsev->kncs", counts.reshape(shape), code_lengths)
    return costs


def index_planes(fsq_indices: npt.NDArray[np.uint8]) -> Int32Array:
    """Return FSQ indices of shape (t, h, w, n) as the context model has them, shape (n, t, h w)."""
    planes: Int32Array = np.moveaxis(fsq_indices, -1, 0).astype(np.int32)
    return planes.reshape(*planes.shape[:2], -1)


def _code_lengths(levels: tuple[int, ...]) -> _Costs:
    """Return code lengths in bits by channel, scale, expected index and index."""
    tables, max_levels = token_tables(levels), max(levels)
    lengths = np.zeros((len(levels), SCALES, 2 * max_levels - 1, max_levels))
    for channel, count in enumerate(levels):
        for scale, start in enumerate(tables.starts[channel]):
            for centre in range(2 * count - 1):
                lengths[channel, scale, centre, :count] = tables.bits_of(start + centre)
    return lengths


def _search(costs: _Costs, change_bits: npt.NDArray[np.float32]) -> tuple[int, Int32Array]:
    """Search the scales of one kind of step, from one scale for all until no small move saves bits.

    Args:
        costs: Costs at each scale, shape (channels, CLASSES, SCALES).
        change_bits: Bits of each change, from -MAX_CHANGE on.

    Returns:
        Base scale and changes, shape (channels, CLASSES).
    """
    changes = np.zeros(costs.shape[:2], np.int32)
    rows, columns = np.indices(changes.shape)

    def costs_at(base: int, by: int) -> _Costs:
        """Return the bits of each channel and class if all scales were moved by `by`."""
        selected: _Costs = costs[rows, columns, scale_indices([base + by], changes[None])[0]]
        return selected

    def fold_into_base(base: int) -> int:
        """Move the first change into the base, as far as its range allows; return the new base."""
        new_base = min(max(base + int(changes[0, 0]), 0), SCALES - 1)
        changes[0, 0] -= new_base - base
        return new_base

    base = min(range(SCALES), key=lambda base: float(costs_at(base, 0).sum()))
    bits_or_inf = np.pad(change_bits.astype(np.float64), 1, constant_values=np.inf)
    for _ in range(_MAX_MOVES):
        best, move = -1e-6, None
        for by in (-1, 1):
            more = costs_at(base, by) - costs_at(base, 0)
            beyond = more[::-1].cumsum(0)[::-1]  # of this channel and later ones
            stored = changes + MAX_CHANGE + 1
            add, drop = (
                np.pad(bits_or_inf[stored + sign] - bits_or_inf[stored], (0, 1))
                for sign in (by, -by)
            )
            below, right_of, across = drop[1:, :-1], drop[:-1, 1:], add[1:, 1:]
            here = add[:-1, :-1]
            if 0 <= base + by < SCALES:
                here[0, 0] = 0  # This move changes the base instead.
            # A change shifts the scales of all later channels and classes. Opposite changes at
            # `stops` limit the shift to one channel, one class or both.
            for stops, worth in (
                ((), here + beyond[:, ::-1].cumsum(1)[:, ::-1]),
                (((1, 0),), here + below + more[:, ::-1].cumsum(1)[:, ::-1]),
                (((0, 1),), here + right_of + beyond),
                (((1, 0), (0, 1), (1, 1)), here + below + right_of + across + more),
            ):
                if worth.min() < best:
                    best = worth.min()
                    position = np.unravel_index(worth.argmin(), worth.shape)
                    move = by, position, stops
        if move is None:
            break
        by, (row, column), stops = move
        changes[row, column] += by
        for down, right in stops:
            sign = 1 if down and right else -1
            if row + down < len(changes) and column + right < CLASSES:
                changes[row + down, column + right] += sign * by
        base = fold_into_base(base)
    return base, changes
