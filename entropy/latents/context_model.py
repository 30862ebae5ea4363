"""The order in which the symbols of grids are coded, and what each one's table depends on.

A segment's grids are coded frame level by frame level (see `nvcodec.models.latentgrid.gop`); in a frame
motion, then luma, then chroma; each from coarse to fine, band by band; every band in two passes
over the squares of a chessboard. Whoever quantises, writes, reads or learns from symbols takes the
same walk and differs only in what it does at each stop.

A symbol beyond the coarsest details is coded only where something around its parent, the position
of the same orientation one scale coarser, is not zero; elsewhere it is zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Protocol

import numpy as np
import numpy.typing as npt

from nvcodec.entropy.latents.context_network import INPUTS, LOGARITHMS, ONE, ContextNetwork
from nvcodec.entropy.latents.neighbourhood import (
    LARGEST_SUM,
    Neighbourhood,
    Positions,
    add_sums,
    magnitudes_at,
    odd_places,
    sums_at,
    total,
)
from nvcodec.media import Float32Array, Int16Array, UInt8Array
from nvcodec.models.latentgrid.gop import PREVIOUS_SEGMENT, TemporalLayer
from nvcodec.models.latentgrid.subbands import GridLayout, PlaneKind

_DEPTH_UNIT, _DEEPEST = 16, 6


@dataclass(frozen=True, slots=True)
class CodingPass:
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

    kind: PlaneKind
    band: int
    shape: tuple[int, ...]
    where: Positions
    channels: Positions
    inputs: Float32Array
    scales: Positions

    @property
    def place(self) -> tuple[Positions, ...]:
        """Frame, channel, row and column of each, shape (N,) each."""
        return np.unravel_index(self.where, self.shape)


class SymbolCoder(Protocol):
    """What is done at a stop: returns the symbols, int16, shape (N,)."""

    def __call__(self, coding_pass: CodingPass) -> Int16Array:
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
        layouts: Mapping[PlaneKind, GridLayout],
        frames: int,
        networks: Mapping[PlaneKind, ContextNetwork],
    ) -> None:
        self.layouts, self.networks = layouts, networks
        self.symbols: dict[PlaneKind, list[Int16Array]] = {}
        self._near: dict[PlaneKind, list[UInt8Array]] = {}
        for kind, layout in layouts.items():
            shapes = [(frames, layout.channels, *band.padded_size) for band in layout.bands]
            self.symbols[kind] = [np.zeros(shape, np.int16) for shape in shapes]
            self._near[kind] = [np.zeros(shape, np.uint8) for shape in shapes]

    def code_band(
        self, level: TemporalLayer, kind: PlaneKind, extents: Sequence[int], code: SymbolCoder
    ) -> None:
        """Take the walk through one kind of grid of one level; its symbols are known afterwards.

        It is taken once, or again with the same symbols.

        Args:
            level: Frames and references; these must be known.
            kind: Kind of grid; luma must be known before chroma.
            extents: Of each frame the number of ranks that are coded: 0 for none, 1 for the
                coarsest band alone, and so on; the rest of its symbols are zero.
            code: What to do at every stop.
        """
        for number, band in enumerate(self.layouts[kind].bands):
            chosen = np.flatnonzero(np.array(extents) > band.rank)
            if chosen.size:
                self._band(level, kind, number, chosen, code)

    def extents(self, level: TemporalLayer, kind: PlaneKind) -> list[int]:
        """The least extents that hold all symbols of a level."""
        frames = list(level.frames)
        found = np.zeros(len(frames), np.int64)
        for band, symbols in zip(self.layouts[kind].bands, self.symbols[kind], strict=True):
            found[symbols[frames].any(axis=(1, 2, 3))] = band.rank + 1
        return [int(extent) for extent in found]

    def _band(
        self,
        level: TemporalLayer,
        kind: PlaneKind,
        number: int,
        chosen: Positions,
        code: SymbolCoder,
    ) -> None:
        """Both passes over one band of some frames of a level."""
        network = self.networks[kind]
        frames = np.array(level.frames)[chosen]
        active = self._active(kind, number, frames)
        flat = np.flatnonzero(active)
        if not flat.size:
            return
        odd = odd_places(flat, active.shape)
        passes = flat[~odd], flat[odd]
        there = Neighbourhood(np.concatenate(passes), active.shape, frames)
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
            coding_pass = CodingPass(
                kind, number, symbols.shape, where, there.channel[part], rows, scales
            )
            found = code(coding_pass)
            symbols.reshape(-1)[where] = found
            magnitudes.reshape(-1)[padded[part]] = np.abs(found)
        nonzero = padded[magnitudes.reshape(-1).take(padded) > 0]
        add_sums(self._near[kind][number], frames, magnitudes, nonzero)

    def _active(self, kind: PlaneKind, number: int, frames: Positions) -> npt.NDArray[np.bool_]:
        """Where symbols are coded, shape (frames, channels, *room)."""
        layout = self.layouts[kind]
        band = layout.bands[number]
        height, width = band.size
        active = np.zeros((len(frames), layout.channels, *band.padded_size), np.bool_)
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
        self,
        level: TemporalLayer,
        kind: PlaneKind,
        number: int,
        chosen: Positions,
        there: Neighbourhood,
    ) -> Float32Array:
        """What both passes know, shape (20, N)."""
        layout = self.layouts[kind]
        band = layout.bands[number]
        inputs = np.zeros((INPUTS, len(there.flat)), np.float32)
        symbols, near = self.symbols[kind], self._near[kind]
        if band.rank:
            above, shift = (0, 0) if band.parent is None else (band.parent, 1)
            where = there.in_band(symbols[above].shape, shift)
            _logarithms(magnitudes_at(symbols[above], where), inputs[0])
            _logarithms(near[above].reshape(-1).take(where), inputs[1])
        siblings = [
            other
            for other, candidate in enumerate(layout.bands[:number])
            if candidate.rank == band.rank
        ]
        if siblings:
            _logarithms(total(magnitudes_at(symbols[o], there.where) for o in siblings), inputs[2])
            around = total(sums_at(near[other], there.where) for other in siblings)
            _logarithms(np.minimum(around, LARGEST_SUM), inputs[3])
        known = level.references[0]
        # Of the segment before, the pictures are known but not the symbols.
        if known and PREVIOUS_SEGMENT not in known:
            others = np.array(level.references)[chosen]
            wheres = [there.in_frames(others[:, side]) for side in range(len(known))]
            _logarithms(total(magnitudes_at(symbols[number], where) for where in wheres), inputs[6])
            _logarithms(total(sums_at(near[number], where) for where in wheres), inputs[7])
        if kind is PlaneKind.CHROMA:
            alike = [
                other
                for other, candidate in enumerate(self.layouts[PlaneKind.LUMA].bands)
                if (candidate.rank, candidate.orientation, candidate.size)
                == (band.rank, band.orientation, band.size)
            ]
            if alike:
                luma = self.symbols[PlaneKind.LUMA][alike[0]]
                where = there.in_band(luma.shape, 0)
                _logarithms(magnitudes_at(luma, where), inputs[8])
                _logarithms(self._near[PlaneKind.LUMA][alike[0]].reshape(-1).take(where), inputs[9])
        inputs[12] = ONE
        inputs[14] = _DEPTH_UNIT * min(level.depth, _DEEPEST)
        inputs[15] = ONE * (len(known) == 0)
        inputs[16] = ONE * (len(known) == 1)
        inputs[17] = ONE * (band.orientation == 3)
        inputs[18] = _DEPTH_UNIT * (layout.scales - band.rank)
        inputs[19] = ONE * (band.orientation == 1)
        return inputs


def _add_first_pass(
    rows: Float32Array,
    magnitudes: Int16Array,
    padded: Positions,
    there: Neighbourhood,
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
        _logarithms(np.minimum(centre, LARGEST_SUM), rows[11])


def _logarithms(magnitudes: Int16Array | UInt8Array, out: Float32Array) -> None:
    """`LOGARITHMS` of magnitudes, the last of them beyond."""
    LOGARITHMS.take(magnitudes, out=out, mode="clip")
