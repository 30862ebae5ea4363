"""The order in which the symbols of grids are coded, and what each one's table depends on.

A segment's grids are coded frame level by frame level (see `nvcodec.models.hierarchy`); in a frame
motion, then luma, then chroma; each from coarse to fine, band by band; every band in two passes
over the squares of a chessboard. Whoever quantises, writes, reads or learns from symbols takes the
same walk and differs only in what it does at each stop.

A symbol beyond the coarsest details is coded only where something around its parent, the position
of the same orientation one scale coarser, is not zero; elsewhere it is zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from nvcodec.entropy.contexts import INPUTS, LOGARITHMS, ONE, ContextNetwork, FloatArray
from nvcodec.models.bands import GridLayout, Kind
from nvcodec.models.hierarchy import Level

Int16Array = npt.NDArray[np.int16]
UInt8Array = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]

_LARGEST_NEAR = 255
_DEPTH_UNIT, _DEEPEST = 16, 6


@dataclass(frozen=True, slots=True)
class Stop:
    """Symbols that are coded next.

    Attributes:
        kind: Kind of grid.
        band: Number of the band.
        place: Frame, channel, row and column of each, shape (N,) each: an index into
            `Grids.symbols[kind][band]`.
        inputs: Of the context network, shape (N, 20).
        scales: Scale index of each one's table, shape (N,).
    """

    kind: Kind
    band: int
    place: tuple[Positions, Positions, Positions, Positions]
    inputs: FloatArray
    scales: Positions


class Visitor(Protocol):
    """What is done at a stop: returns the symbols, int16, shape (N,)."""

    def __call__(self, stop: Stop) -> Int16Array: ...


class Grids:
    """The symbols of a segment, as far as they are known.

    Args:
        layouts: The grids of a frame.
        frames: Frames in the segment.
        networks: The context network of each kind.

    Attributes:
        symbols: Of each kind and band, int16, shape (frames, channels, *room).
    """

    def __init__(
        self,
        layouts: Mapping[Kind, GridLayout],
        frames: int,
        networks: Mapping[Kind, ContextNetwork],
    ) -> None:
        self.layouts, self.networks = layouts, networks
        self.symbols: dict[Kind, list[Int16Array]] = {}
        self._near: dict[Kind, list[UInt8Array]] = {}
        for kind, layout in layouts.items():
            shapes = [(frames, layout.channels, *band.room) for band in layout.bands]
            self.symbols[kind] = [np.zeros(shape, np.int16) for shape in shapes]
            self._near[kind] = [np.zeros(shape, np.uint8) for shape in shapes]

    def walk(self, level: Level, kind: Kind, extents: Sequence[int], visit: Visitor) -> None:
        """Take the walk through one kind of grid of one level; its symbols are known afterwards.

        Args:
            level: Frames and references; these must be known.
            kind: Kind of grid; luma must be known before chroma.
            extents: Of each frame the number of ranks that are coded: 0 for none, 1 for the
                coarsest band alone, and so on; the rest of its symbols are zero.
            visit: What to do at every stop.
        """
        for number, band in enumerate(self.layouts[kind].bands):
            chosen = np.flatnonzero(np.array(extents) > band.rank)
            if chosen.size:
                self._band(level, kind, number, chosen, visit)

    def extents(self, level: Level, kind: Kind) -> list[int]:
        """The least extents that hold all symbols of a level."""
        frames = list(level.frames)
        found = np.zeros(len(frames), np.int64)
        for band, symbols in zip(self.layouts[kind].bands, self.symbols[kind], strict=True):
            found[symbols[frames].any(axis=(1, 2, 3))] = band.rank + 1
        return found.tolist()

    def _band(
        self, level: Level, kind: Kind, number: int, chosen: Positions, visit: Visitor
    ) -> None:
        """Both passes over one band of some frames of a level."""
        network, layout = self.networks[kind], self.layouts[kind]
        frames = np.array(level.frames)[chosen]
        shape = (len(frames), layout.channels, *layout.bands[number].room)
        flat = np.flatnonzero(self._active(kind, number, frames))
        place = np.unravel_index(flat, shape)
        inputs = self._inputs(level, kind, number, chosen, place)
        passes = (place[1] + place[2] + place[3]) & 1
        values = np.zeros(shape, np.int16)
        for turn in range(2):
            some = np.flatnonzero(passes == turn)
            rows = inputs[some]
            if turn:
                self._add_first_pass(rows, values, [axis[some] for axis in place])
            where = (frames[place[0][some]], *(axis[some] for axis in place[1:]))
            scales = network.scales(rows, network.biases[number, where[1]])
            stop = Stop(kind, number, where, rows, scales)
            values.reshape(-1)[flat[some]] = visit(stop)
        self.symbols[kind][number][frames] = values
        self._near[kind][number][frames] = _neighbourhood(values)

    def _active(self, kind: Kind, number: int, frames: Positions) -> npt.NDArray[np.bool_]:
        """Where symbols are coded, shape (frames, channels, *room)."""
        layout = self.layouts[kind]
        band = layout.bands[number]
        height, width = band.size
        active = np.zeros((len(frames), layout.channels, *band.room), np.bool_)
        if band.parent is None:
            active[..., :height, :width] = True
        else:
            parents = self._near[kind][band.parent][frames] > 0
            children = parents.repeat(2, axis=2).repeat(2, axis=3)
            active[..., :height, :width] = children[..., :height, :width]
        return active

    def _inputs(
        self,
        level: Level,
        kind: Kind,
        number: int,
        chosen: Positions,
        place: tuple[Positions, ...],
    ) -> FloatArray:
        """What both passes know, shape (N, 20)."""
        layout = self.layouts[kind]
        band = layout.bands[number]
        frame, channel, y, x = place
        frames = np.array(level.frames)[chosen]
        inputs = np.zeros((len(frame), INPUTS), np.float32)
        if band.rank:
            above, shift = (0, 0) if band.parent is None else (band.parent, 1)
            where = (frames[frame], channel, y >> shift, x >> shift)
            inputs[:, 0] = _logarithms(np.abs(self.symbols[kind][above][where]))
            inputs[:, 1] = _logarithms(self._near[kind][above][where])
        siblings = [
            self.symbols[kind][other][frames]
            for other, candidate in enumerate(layout.bands[:number])
            if candidate.rank == band.rank
        ]
        if siblings:
            done = sum(np.abs(values) for values in siblings)
            inputs[:, 2] = _logarithms(done[place])
            inputs[:, 3] = _logarithms(_neighbourhood(done)[place])
        known = level.references[0]
        if known:
            sums = np.zeros((2, len(frame)), np.int64)
            for side in range(len(known)):
                others = np.array([both[side] for both in level.references])[chosen]
                where = (others[frame], channel, y, x)
                sums[0] += np.abs(self.symbols[kind][number][where])
                sums[1] += self._near[kind][number][where]
            inputs[:, 6] = _logarithms(sums[0])
            inputs[:, 7] = _logarithms(sums[1])
        if kind is Kind.CHROMA:
            luma = self.layouts[Kind.LUMA].bands
            alike = [
                other
                for other, candidate in enumerate(luma)
                if (candidate.rank, candidate.orientation, candidate.size)
                == (band.rank, band.orientation, band.size)
            ]
            if alike:
                where = (frames[frame], 0, y, x)
                inputs[:, 8] = _logarithms(np.abs(self.symbols[Kind.LUMA][alike[0]][where]))
                inputs[:, 9] = _logarithms(self._near[Kind.LUMA][alike[0]][where])
        inputs[:, 12] = ONE
        inputs[:, 14] = _DEPTH_UNIT * min(level.depth, _DEEPEST)
        inputs[:, 15] = ONE * (len(known) == 0)
        inputs[:, 16] = ONE * (len(known) == 1)
        inputs[:, 17] = ONE * (band.orientation == 3)
        inputs[:, 18] = _DEPTH_UNIT * (layout.scales - band.rank)
        inputs[:, 19] = ONE * (band.orientation == 1)
        return inputs

    def _add_first_pass(
        self, rows: FloatArray, values: Int16Array, place: Sequence[Positions]
    ) -> None:
        """Complete the inputs of the second pass by what the first has found."""
        frame, channel, y, x = place
        magnitudes = np.pad(np.abs(values), ((0, 0), (0, 0), (1, 1), (1, 1)))
        across = magnitudes[frame, channel, y + 1, x] + magnitudes[frame, channel, y + 1, x + 2]
        down = magnitudes[frame, channel, y, x + 1] + magnitudes[frame, channel, y + 2, x + 1]
        rows[:, 4], rows[:, 5] = _logarithms(across), _logarithms(down)
        rows[:, 13] = ONE
        if values.shape[1] > 1:
            # Channels take turns, so that half of them are known where the others are not.
            others = np.stack(
                [np.abs(values[:, parity::2]).sum(axis=1) for parity in range(2)], axis=1
            )
            where = (frame, 1 - (channel & 1), y, x)
            rows[:, 10] = _logarithms(others[where])
            rows[:, 11] = _logarithms(_neighbourhood(others)[where])


def _logarithms(magnitudes: npt.NDArray[np.integer]) -> FloatArray:
    return LOGARITHMS[np.minimum(magnitudes, len(LOGARITHMS) - 1)]


def _neighbourhood(values: npt.NDArray[np.integer]) -> UInt8Array:
    """Sum of the magnitudes in the 3 x 3 positions around every one, at most 255."""
    magnitudes = np.minimum(np.abs(values), _LARGEST_NEAR).astype(np.int16)
    sides = [(0, 0)] * (values.ndim - 2) + [(1, 1), (1, 1)]
    rows = np.pad(magnitudes, sides)
    rows = rows[..., :-2, :] + rows[..., 1:-1, :] + rows[..., 2:, :]
    sums = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    return np.minimum(sums, _LARGEST_NEAR).astype(np.uint8)
