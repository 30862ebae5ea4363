"""The context model of video tokens: coding order of the FSQ indices, and the table of each.

Token steps are bisected, so that nearly all of them lie between two coded ones, and every group of
steps is coded in one or two long calls. The expected index is the mean of the indices in the
reference steps, corrected by the errors of this expectation in neighbouring cells. The spread of
its distribution follows from the activity: how much the reference steps differ, and how large the
errors are. All arithmetic is on integers. Encoder, decoder and parameter search share this order.
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
"""Kinds of token steps: the first, without a reference step; the last, predicted from the first; all
others, predicted from two steps."""
_ACTIVITY_CLASSES = np.repeat(np.arange(CLASSES), (1, 2, 2, 2, 2, 3, 3, 4, 5, 1))
"""Class of an amount of activity in half FSQ levels; amounts beyond the end have the last class."""
_MIN_CELLS_FOR_TWO_PASSES = 64
"""In smaller token grids, every group of token steps but the first is coded in one pass: contexts in
space would save little, and a call takes time even for few tokens."""

CodeIndices = Callable[[Int32Array, Positions, Positions], Int32Array]
"""A function that encodes, decodes or counts FSQ indices. It takes the table number of each index,
shape (N,), and the numbers of the token steps and of the cells (channel after channel, in a channel
token step after token step), and returns the indices, shape (N,)."""


class _StepGroup(NamedTuple):
    """Token steps that are coded together, in increasing order.

    Attributes:
        kind: 0 the first step, 1 the last, 2 steps between two coded ones.
        steps: Numbers of the steps.
        before: Preceding reference of each step; not used for kind 0.
        after: Following reference of each step; not used for kinds 0 and 1.
    """

    kind: int
    steps: Positions
    before: Positions
    after: Positions


@lru_cache(maxsize=8)
def _step_groups(count: int) -> tuple[_StepGroup, ...]:
    """Return the first step, the last, then the middles between neighbouring coded steps."""
    groups = [_StepGroup(0, *map(_read_only, ([0], [0], [0])))]
    if count > 1:
        groups.append(_StepGroup(1, *map(_read_only, ([count - 1], [0], [0]))))
    coded = [0, count - 1]
    while gaps := [(a, b) for a, b in pairwise(coded) if b - a > 1]:
        middles = [(a + b) // 2 for a, b in gaps]
        groups.append(_StepGroup(2, *map(_read_only, (middles, *zip(*gaps, strict=True)))))
        coded = sorted([*coded, *middles])
    return tuple(groups)


class TokenContextModel:
    """Codes the FSQ indices of a segment in order, and selects the table of each.

    Args:
        shape: Token steps, rows, columns, FSQ channels per token.
        levels: Number of FSQ levels of each channel.
        weights: Share of the neighbours' mean error that corrects the expected index, in quarters,
            0 to 4; one for each kind of token step.
        starts: Number of the table for the lowest expected index, by kind of step, channel and
            activity class, shape (KINDS, channels, CLASSES); tables for higher expected indices
            follow.
        code: Function that handles the indices of each call.

    Attributes:
        fsq_indices: Indices coded so far, shape (channels, steps, cells).
        numbers: Numbers of their tables, same shape.
    """

    def __init__(
        self,
        shape: Sequence[int],
        levels: Sequence[int],
        weights: Sequence[int],
        starts: Int32Array,
        code: CodeIndices,
    ) -> None:
        self._steps, rows, columns, count = shape
        self._weights, self._code = weights, code
        self._max_indices = np.array(levels, np.int32)[:, None, None] - 1
        # Tables by amount of activity instead of class, all channels one behind the other.
        classes, self._channel_offsets = _activity_classes(count)
        self._max_activity = len(classes) - 1
        self._starts = starts.take(classes, -1).reshape(KINDS, -1)
        self._all_cells, self._even_cells, self._odd_cells = _checkerboard(rows, columns)
        self.fsq_indices = np.zeros((count, self._steps, rows * columns), np.int32)
        self.numbers = np.zeros_like(self.fsq_indices)

    def run(self) -> None:
        """Code every index."""
        for group in _step_groups(self._steps):
            self._code_group(group, *self._predict_in_time(group))

    def _predict_in_time(self, group: _StepGroup) -> tuple[Int32Array, Int32Array]:
        """Return expected indices, in half levels, and activity, from the reference steps.

        Activity is counted in levels times channels per token, so that means over these are
        integers.
        """
        count, _, cells = self.fsq_indices.shape
        shape = (count, len(group.steps), cells)
        before = self.fsq_indices.take(group.before, 1)
        if group.kind < 2:
            zeros = np.zeros(shape, np.int32)
            return (2 * before if group.kind else zeros + self._max_indices), zeros
        after = self.fsq_indices.take(group.after, 1)
        differences = np.zeros((*shape[:2], cells + 1), np.int32)
        inside = differences[..., :cells]
        np.abs(np.subtract(before, after, out=inside), out=inside)
        activity = count * inside
        activity += _sum(inside, 0)
        activity *= 2
        activity += self._all_cells.mean(differences.take(self._all_cells.around, -1))
        before += after
        return before, activity

    def _code_group(self, group: _StepGroup, expected: Int32Array, activity: Int32Array) -> None:
        """Code a group of token steps: all cells at once, or in two checkerboard passes.

        Args:
            group: The token steps.
            expected: Expected indices in half levels, shape (channels, steps, cells).
            activity: Activity, shape that broadcasts to that of `expected`; changed.
        """
        count, steps, cell_count = expected.shape
        if group.kind == 0:
            # The first step has no reference, so its activity is the highest.
            activity += self._max_activity
        if (
            group.kind > 0 and cell_count < _MIN_CELLS_FOR_TWO_PASSES
        ) or not self._odd_cells.cells.size:
            indices, numbers = self._code_cells(group, self._all_cells, expected, activity)
        else:
            indices, numbers = np.empty_like(expected), np.empty_like(expected)
            errors = np.zeros((count, steps, cell_count + 1), np.int32)
            even = self._even_cells
            centres = expected.take(even.cells, -1)
            coded, tables = self._code_cells(group, even, centres, activity.take(even.cells, -1))
            indices[..., even.cells], numbers[..., even.cells] = coded, tables
            errors[..., even.cells] = 2 * coded - centres
            odd = self._odd_cells
            neighbour_errors = errors.take(odd.around, -1)
            correction = _sum(neighbour_errors, -2)
            correction *= self._weights[group.kind] * odd.share
            centres = expected.take(odd.cells, -1) + ((correction + 8192) >> 14)
            np.maximum(centres, 0, out=centres)
            np.minimum(centres, 2 * self._max_indices, out=centres)
            odd_activity = odd.mean(np.abs(neighbour_errors, out=neighbour_errors))
            if group.kind:
                odd_activity += activity.take(odd.cells, -1)
            coded, tables = self._code_cells(group, odd, centres, odd_activity)
            indices[..., odd.cells], numbers[..., odd.cells] = coded, tables
        self.fsq_indices[:, group.steps] = indices
        self.numbers[:, group.steps] = numbers

    def _code_cells(
        self, group: _StepGroup, cells: _Cells, centres: Int32Array, activity: Int32Array
    ) -> tuple[Int32Array, Int32Array]:
        """Code some cells; return their indices and the numbers of their tables.

        Args:
            group: The token steps.
            cells: The cells.
            centres: Expected indices in half levels, shape (channels, steps, C).
            activity: Activity, same shape.
        """
        contexts = np.minimum(activity, self._max_activity)
        contexts += self._channel_offsets
        tables = self._starts[group.kind].take(contexts)
        tables += centres
        symbols = self._code(tables.ravel(), group.steps, cells.cells)
        return symbols.reshape(tables.shape), tables


class _Cells(NamedTuple):
    """Some cells of a token grid, and their neighbours in space.

    Attributes:
        cells: Numbers of the cells, shape (C,).
        around: Numbers of the cells to the left and right, above and below, shape (4, C); cells
            outside of the grid have the number after the last.
        share: Weight of each neighbour in means, in 1/4096, shape (C,).
    """

    cells: Positions
    around: Positions
    share: Int32Array

    def mean(self, values: Int32Array) -> Int32Array:
        """Return the mean over each cell's neighbours times channels, plus that over all channels.

        Args:
            values: Values of the neighbours, not negative, shape (channels, steps, 4, C).

        Returns:
            Shape (channels, steps, C).
        """
        totals = _sum(values, -2)
        totals = len(values) * totals + _sum(totals, 0)
        totals *= self.share
        totals >>= 12
        return totals


@lru_cache(maxsize=2)
def _checkerboard(rows: int, columns: int) -> tuple[_Cells, _Cells, _Cells]:
    """Return all cells of a grid, those with even row + column, and those with odd row + column."""
    size = rows * columns
    numbers = np.full((rows + 2, columns + 2), size)
    numbers[1:-1, 1:-1] = np.arange(size).reshape(rows, columns)
    sides = numbers[1:-1, :-2], numbers[1:-1, 2:], numbers[:-2, 1:-1], numbers[2:, 1:-1]
    around = np.stack([side.ravel() for side in sides])
    weights = (4096 // np.maximum((around < size).sum(0), 1)).astype(np.int32)
    parity = np.indices((rows, columns)).sum(0).ravel() % 2
    all_cells, even, odd = (
        _Cells(_read_only(cells), _read_only(around[:, cells]), _read_only(weights[cells]))
        for cells in (np.arange(size), np.flatnonzero(parity == 0), np.flatnonzero(parity))
    )
    return all_cells, even, odd


@lru_cache(maxsize=16)
def _activity_classes(count: int) -> tuple[Positions, Int32Array]:
    """Return the class of every amount of activity, and where each channel's classes begin.

    Args:
        count: Number of channels of a token, by which activity is multiplied.

    Returns:
        Classes of the amounts from 0 to the first of the last class, and offsets, shape (count, 1,
        1).
    """
    classes = _ACTIVITY_CLASSES[
        2 * np.arange((len(_ACTIVITY_CLASSES) - 1) * count // 2 + 1) // count
    ]
    offsets = len(classes) * np.arange(count, dtype=np.int32)
    return _read_only(classes), _read_only(offsets[:, None, None])


def _read_only(values: npt.ArrayLike) -> Any:
    """Return values as an array that cannot be changed, because it is cached."""
    array = np.array(values)
    array.flags.writeable = False
    return array


def _sum(values: Int32Array, axis: int) -> Int32Array:
    """Return sums along an axis, as int32."""
    summed: Int32Array = np.add.reduce(values, axis, np.int32)
    return summed
