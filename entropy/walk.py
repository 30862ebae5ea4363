"""The order in which the symbols of grids are coded, and what each one's table depends on.

A segment's grids are coded frame level by frame level (see `nvcodec.models.hierarchy`); in a frame
motion, then luma, then chroma; each from coarse to fine, band by band; every band in two passes
over the squares of a chessboard. Whoever quantises, writes, reads or learns from symbols takes the
same walk and differs only in what it does at each stop.

A symbol beyond the coarsest details is coded only where something around its parent, the position
of the same orientation one scale coarser, is not zero; elsewhere it is zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Protocol

import numpy as np
import numpy.typing as npt

from nvcodec.entropy.contexts import INPUTS, LOGARITHMS, ONE, ContextNetwork, FloatArray
from nvcodec.models.bands import GridLayout, Kind
from nvcodec.models.hierarchy import BEFORE, Level

Int16Array = npt.NDArray[np.int16]
UInt8Array = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]

_LARGEST_NEAR = 255
_DEPTH_UNIT, _DEEPEST = 16, 6
# With fewer symbols that are not zero than one in so many, what is around them is found one by one.
_SPARSE = 64


@dataclass(frozen=True, slots=True)
class Stop:
    """Symbols that are coded next.

    Attributes:
        kind: Kind of grid.
        band: Number of the band.
        shape: Of `Grids.symbols[kind][band]`.
        where: Indices into that, seen as flat, shape (N,).
        channels: Channel of each, shape (N,).
        inputs: Of the context network, shape (N, 20).
        scales: Scale index of each one's table, shape (N,).
    """

    kind: Kind
    band: int
    shape: tuple[int, ...]
    where: Positions
    channels: Positions
    inputs: FloatArray
    scales: Positions

    @property
    def place(self) -> tuple[Positions, ...]:
        """Frame, channel, row and column of each, shape (N,) each."""
        return np.unravel_index(self.where, self.shape)


class Visitor(Protocol):
    """What is done at a stop: returns the symbols, int16, shape (N,)."""

    def __call__(self, stop: Stop) -> Int16Array:
        """Called for every stop, in coding order."""
        ...


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

        It is taken once, or again with the same symbols.

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
        return [int(extent) for extent in found]

    def _band(
        self, level: Level, kind: Kind, number: int, chosen: Positions, visit: Visitor
    ) -> None:
        """Both passes over one band of some frames of a level."""
        network = self.networks[kind]
        frames = np.array(level.frames)[chosen]
        active = self._active(kind, number, frames)
        flat = np.flatnonzero(active)
        if not flat.size:
            return
        odd = _odd(flat, active.shape)
        passes = flat[~odd], flat[odd]
        there = _Positions(np.concatenate(passes), active.shape, frames)
        inputs = self._inputs(level, kind, number, chosen, there)
        biases = network.biases[number].take(there.channel)
        symbols = self.symbols[kind][number]
        # With a border of zeros, so that no position needs to be looked at twice.
        _, channels, height, width = active.shape
        magnitudes = np.zeros((len(frames), channels, height + 2, width + 2), np.int16)
        padded = (there.plane * (height + 2) + there.y + 1) * (width + 2) + there.x + 1
        first = len(passes[0])
        for turn, part in enumerate((slice(0, first), slice(first, None))):
            if turn:
                _add_first_pass(inputs[:, part], magnitudes, padded[part], there, part)
            rows = inputs[:, part].T
            scales = network.scales(rows, biases[part])
            where = there.where[part]
            stop = Stop(kind, number, symbols.shape, where, there.channel[part], rows, scales)
            found = visit(stop)
            symbols.reshape(-1)[where] = found
            magnitudes.reshape(-1)[padded[part]] = np.abs(found)
        nonzero = padded[magnitudes.reshape(-1).take(padded) > 0]
        _add_sums(self._near[kind][number], frames, magnitudes, nonzero)

    def _active(self, kind: Kind, number: int, frames: Positions) -> npt.NDArray[np.bool_]:
        """Where symbols are coded, shape (frames, channels, *room)."""
        layout = self.layouts[kind]
        band = layout.bands[number]
        height, width = band.size
        active = np.zeros((len(frames), layout.channels, *band.room), np.bool_)
        inner = active[..., :height, :width]
        if band.parent is None:
            inner[:] = True
        else:
            parents = self._near[kind][band.parent][frames] > 0
            for y, x in product(range(2), range(2)):
                children = inner[..., y::2, x::2]
                children[:] = parents[..., : children.shape[2], : children.shape[3]]
        return active

    def _inputs(
        self, level: Level, kind: Kind, number: int, chosen: Positions, there: _Positions
    ) -> FloatArray:
        """What both passes know, shape (20, N)."""
        layout = self.layouts[kind]
        band = layout.bands[number]
        inputs = np.zeros((INPUTS, len(there.flat)), np.float32)
        symbols, near = self.symbols[kind], self._near[kind]
        if band.rank:
            above, shift = (0, 0) if band.parent is None else (band.parent, 1)
            where = there.elsewhere(symbols[above].shape, shift)
            _logarithms(_magnitudes(symbols[above], where), inputs[0])
            _logarithms(near[above].reshape(-1).take(where), inputs[1])
        siblings = [
            other
            for other, candidate in enumerate(layout.bands[:number])
            if candidate.rank == band.rank
        ]
        if siblings:
            _logarithms(_total(_magnitudes(symbols[o], there.where) for o in siblings), inputs[2])
            around = _total(_around(near[other], there.where) for other in siblings)
            _logarithms(np.minimum(around, _LARGEST_NEAR), inputs[3])
        known = level.references[0]
        # Of the segment before, the pictures are known but not the symbols.
        if known and BEFORE not in known:
            others = np.array(level.references)[chosen]
            wheres = [there.moved(others[:, side]) for side in range(len(known))]
            _logarithms(_total(_magnitudes(symbols[number], where) for where in wheres), inputs[6])
            _logarithms(_total(_around(near[number], where) for where in wheres), inputs[7])
        if kind is Kind.CHROMA:
            alike = [
                other
                for other, candidate in enumerate(self.layouts[Kind.LUMA].bands)
                if (candidate.rank, candidate.orientation, candidate.size)
                == (band.rank, band.orientation, band.size)
            ]
            if alike:
                luma = self.symbols[Kind.LUMA][alike[0]]
                where = there.elsewhere(luma.shape, 0)
                _logarithms(_magnitudes(luma, where), inputs[8])
                _logarithms(self._near[Kind.LUMA][alike[0]].reshape(-1).take(where), inputs[9])
        inputs[12] = ONE
        inputs[14] = _DEPTH_UNIT * min(level.depth, _DEEPEST)
        inputs[15] = ONE * (len(known) == 0)
        inputs[16] = ONE * (len(known) == 1)
        inputs[17] = ONE * (band.orientation == 3)
        inputs[18] = _DEPTH_UNIT * (layout.scales - band.rank)
        inputs[19] = ONE * (band.orientation == 1)
        return inputs


class _Positions:
    """Positions in a band of some frames.

    Args:
        flat: Indices into an array of the shape.
        shape: Frames, channels, height, width.
        frames: Numbers of the frames.

    Attributes:
        flat: As given.
        plane: Index among the planes of these frames, shape (N,) like all that follows.
        frame: Index among these frames.
        channel: Channel.
        y: Row.
        x: Column.
        where: Index in the band of all frames of the segment.
    """

    def __init__(self, flat: Positions, shape: tuple[int, ...], frames: Positions) -> None:
        _, channels, height, width = shape
        row = flat // width
        self.flat, self.x = flat, flat - row * width
        self.plane = row // height
        self.y = row - self.plane * height
        self.frame = self.plane // channels if channels > 1 else self.plane
        self.channel = self.plane - self.frame * channels
        self._size, self._frames = channels * height * width, frames
        self.where = self.moved(frames)

    def moved(self, frames: Positions) -> Positions:
        """Index of the same positions of other frames in the band of all frames."""
        return self.flat + ((frames - np.arange(len(frames))) * self._size).take(self.frame)

    def elsewhere(self, shape: tuple[int, ...], shift: int) -> Positions:
        """Index in another band of all frames.

        Args:
            shape: Of that band; where it has one channel, that is meant.
            shift: How much coarser it is.
        """
        _, channels, height, width = shape
        plane = self._frames.take(self.frame) * channels
        if channels > 1:
            plane += self.channel
        found: Positions = (plane * height + (self.y >> shift)) * width + (self.x >> shift)
        return found


def _add_first_pass(
    rows: FloatArray,
    magnitudes: Int16Array,
    padded: Positions,
    there: _Positions,
    part: slice,
) -> None:
    """Complete the inputs of the second pass, shape (20, N), by what the first has found.

    Args:
        rows: To be completed.
        magnitudes: Those of the first pass, shape (frames, channels, height + 2, width + 2).
        padded: Index of the second pass's positions in that.
        there: All positions.
        part: Those of the second pass.
    """
    count, channels, height, width = magnitudes.shape
    flat = magnitudes.reshape(-1)
    _logarithms(flat.take(padded - 1) + flat.take(padded + 1), rows[4])
    _logarithms(flat.take(padded - width) + flat.take(padded + width), rows[5])
    rows[13] = ONE
    if channels > 1:
        # Channels take turns, so that half of them are known where the others are not.
        others = magnitudes
        if channels > 2:
            others = np.empty((count, 2, height, width), np.int16)
            for parity in range(2):
                magnitudes[:, parity::2].sum(axis=1, dtype=np.int16, out=others[:, parity])
        plane = 2 * there.frame[part] + 1 - (there.channel[part] & 1)
        where = padded + (plane - there.plane[part]) * (height * width)
        flat = others.reshape(-1)
        centre = flat.take(where)
        _logarithms(centre, rows[10])
        # Of the nine positions around, the first pass has those of the same colour.
        for step in (-width - 1, 1 - width, width - 1, width + 1):
            centre += flat.take(where + step)
        _logarithms(np.minimum(centre, _LARGEST_NEAR), rows[11])


def _odd(flat: Positions, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Whether channel + row + column is odd, for indices into an array of a shape."""
    _, channels, height, width = shape
    row = flat // width
    plane = row // height
    # Whatever is even may be left out.
    total = flat - row * width + row - plane * height + plane
    if channels % 2:
        total -= plane // channels * channels
    odd: npt.NDArray[np.bool_] = total & 1 == 1
    return odd


def _magnitudes(symbols: Int16Array, where: Positions) -> Int16Array:
    found: Int16Array = np.abs(symbols.reshape(-1).take(where))
    return found


def _around(near: UInt8Array, where: Positions) -> Int16Array:
    return near.reshape(-1).take(where).astype(np.int16)


def _total(parts: Iterable[Int16Array]) -> Int16Array:
    first, *others = parts
    for other in others:
        first += other
    return first


def _logarithms(magnitudes: Int16Array | UInt8Array, out: FloatArray) -> None:
    """`LOGARITHMS` of magnitudes, the last of them beyond."""
    LOGARITHMS.take(magnitudes, out=out, mode="clip")


def _add_sums(
    near: UInt8Array, frames: Positions, magnitudes: Int16Array, nonzero: Positions
) -> None:
    """Enter what `_sums` says of some frames, all zeros before.

    Args:
        near: Of all frames.
        frames: Which ones.
        magnitudes: Of these, with a border of zeros; changed.
        nonzero: Where they are not zero, indices.
    """
    _, channels, height, width = magnitudes.shape
    if _SPARSE * nonzero.size > magnitudes.size:
        some = np.flatnonzero(magnitudes.any(axis=(1, 2, 3)))
        near[frames[some]] = _sums(magnitudes[some])
        return
    steps = np.array([y * width + x for y in (-1, 0, 1) for x in (-1, 0, 1)])
    around = (nonzero[:, None] + steps).reshape(-1)
    row = around // width
    plane = row // height
    y, x = row - plane * height - 1, around - row * width - 1
    inside = (y >= 0) & (y < height - 2) & (x >= 0) & (x < width - 2)
    around, plane, y, x = (axis[inside] for axis in (around, plane, y, x))
    sums = _total(magnitudes.reshape(-1).take(around + step) for step in steps)
    plane += (frames.take(plane // channels) - plane // channels) * channels
    where = (plane * (height - 2) + y) * (width - 2) + x
    near.reshape(-1)[where] = np.minimum(sums, _LARGEST_NEAR)


def _sums(magnitudes: Int16Array) -> UInt8Array:
    """Sums over the 3 x 3 positions around every one, at most 255.

    Args:
        magnitudes: With a border of zeros: shape (..., height + 2, width + 2); changed.
    """
    np.minimum(magnitudes, _LARGEST_NEAR, out=magnitudes)
    rows = magnitudes[..., :-2, :] + magnitudes[..., 1:-1, :]
    rows += magnitudes[..., 2:, :]
    sums = rows[..., :-2] + rows[..., 1:-1]
    sums += rows[..., 2:]
    limited: UInt8Array = np.minimum(sums, _LARGEST_NEAR, out=sums).astype(np.uint8)
    return limited
