"""Reading the payload of a segment of grids, as far as it is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np

from nvcodec.entropy.coder import rans
from nvcodec.entropy.coder.integers import ByteCursor, NumberArray, read_array
from nvcodec.entropy.coder.probability_tables import SCALES, Family, cumulative
from nvcodec.entropy.coder.rans import TableSet
from nvcodec.entropy.latents.context_model import CodingPass, Grids
from nvcodec.entropy.latents.context_network import ContextNetwork, network_of, numbers_of
from nvcodec.entropy.latents.default_networks import default_network
from nvcodec.entropy.latents.encoder import CodedGrids
from nvcodec.entropy.latents.symbols import (
    COEFFICIENTS_PER_BYTE,
    LONGEST,
    MOST_COEFFICIENTS,
    SYMBOLS_PER_BYTE,
    coefficients,
    joined,
    split_ranges,
    symbols_of,
    table_numbers,
)
from nvcodec.errors import BitstreamError
from nvcodec.media import Int16Array
from nvcodec.models.latentgrid.gop import TemporalLayer
from nvcodec.models.latentgrid.step_sizes import LARGEST_BASE, OFFSETS, StepIndices
from nvcodec.models.latentgrid.subbands import GridLayout, PlaneKind


class GridReader:
    """The grids of a segment, read level by level as they are asked for.

    Args:
        data: A payload without configuration.
        layouts: The grids of a frame.
        frames: Frames of the segment.
        levels: All frames, in coding order.

    Attributes:
        coded: What `encode_grids` was given; symbols are zero as far as they are not read.

    Raises:
        BitstreamError: If the payload is malformed, or too short for so many symbols.
    """

    def __init__(
        self,
        data: bytes,
        layouts: Mapping[PlaneKind, GridLayout],
        frames: int,
        levels: Sequence[TemporalLayer],
    ) -> None:
        wanted = frames * coefficients(layouts)
        if wanted > min(COEFFICIENTS_PER_BYTE * len(data), MOST_COEFFICIENTS):
            raise BitstreamError(
                f"segment payload: {wanted} coefficients in {len(data)} bytes; at most "
                f"{COEFFICIENTS_PER_BYTE} a byte, and {MOST_COEFFICIENTS} in all, are allowed"
            )
        cursor = ByteCursor(data)
        size = cursor.varint()
        end = cursor.position + size
        if end > len(data):
            raise BitstreamError(
                f"segment payload: its header ends at {end}, beyond {len(data)} bytes"
            )
        steps = _read_steps(cursor)
        side = NumberArray()
        for _ in layouts:
            read_array(cursor, frames, side)
        # The levels of every depth; each has a message.
        self._depths = [list(some) for _, some in groupby(levels, lambda one: one.depth)]
        ranks = sum(layout.scales + 1 for layout in layouts.values())
        read_array(cursor, ranks * len(self._depths), side)
        scales = [(cursor.byte(), cursor.byte()) for _ in layouts]
        sizes = [cursor.varint() for _ in range(2 + len(self._depths))]
        if cursor.position != end or end + sum(sizes) != len(data):
            raise BitstreamError(
                f"segment payload: its header ends at {cursor.position}, not {end}; its parts at "
                f"{end + sum(sizes)}, not {len(data)}"
            )
        parts = []
        for size in sizes:
            parts.append(data[end : end + size])
            end += size
        self._messages = parts[2:]
        *arrays, lengths = side.decode(parts[0])
        if lengths.min() < 1 or lengths.max() > LONGEST:
            raise BitstreamError("segment payload: ranges of symbols out of range")
        self._ranges = split_ranges(lengths, layouts, len(self._depths))
        self._extents = dict(zip(layouts, arrays, strict=True))
        for kind, layout in layouts.items():
            extents = self._extents[kind]
            if extents.min() < 0 or extents.max() > layout.scales + 1:
                raise BitstreamError(
                    f"segment payload: extents of {kind.name.lower()} out of range"
                )
        networks = _read_networks(parts[1], layouts, scales)
        try:
            grids = Grids(layouts, frames, networks)
        except MemoryError as error:
            raise BitstreamError(f"segment payload: no memory for {wanted} coefficients") from error
        self.coded = CodedGrids(steps, grids)
        self._tables = TableSet()
        self._read = self._position = 0

    def read(self, depth: int) -> None:
        """Make the symbols of all frames up to a depth known.

        Args:
            depth: As of `TemporalLayer`; those already read cost nothing.

        Raises:
            BitstreamError: If their messages are malformed.
        """
        grids = self.coded.grids
        for number in range(self._read, min(depth + 1, len(self._depths))):
            levels, message = self._depths[number], self._messages[number]
            largest = _largest_stop(levels, grids.layouts)
            code = _Reading(message, self._bounds(number), self._tables, largest)
            for level in levels:
                place = slice(self._position, self._position + len(level.frames))
                for kind in grids.layouts:
                    grids.code_band(level, kind, self._extents[kind][place].tolist(), code)
                self._position = place.stop
            self._read = number + 1

    def _bounds(self, depth: int) -> dict[PlaneKind, list[int]]:
        """The largest magnitude in every band of a depth that tables allow for."""
        return {
            kind: [int(self._ranges[kind][band.rank, depth]) for band in layout.bands]
            for kind, layout in self.coded.grids.layouts.items()
        }


def decode_grids(
    data: bytes,
    layouts: Mapping[PlaneKind, GridLayout],
    frames: int,
    levels: Sequence[TemporalLayer],
) -> CodedGrids:
    """Inverse of `encode_grids`: everything; see `GridReader`."""
    reader = GridReader(data, layouts, frames, levels)
    reader.read(levels[-1].depth)
    return reader.coded


class _Reading:
    """A visitor that decodes a message.

    Args:
        message: Of a depth.
        bounds: The largest magnitude in every band.
        tables: Those in use so far; more are added.
        largest: No stop has more symbols.
    """

    def __init__(
        self,
        message: bytes,
        bounds: Mapping[PlaneKind, Sequence[int]],
        tables: TableSet,
        largest: int,
    ) -> None:
        self._left = SYMBOLS_PER_BYTE * len(message)
        self._stream = rans.Stream(message, min(self._left, largest))
        self._bounds, self._tables = bounds, tables

    def __call__(self, coding_pass: CodingPass) -> Int16Array:
        self._left -= len(coding_pass.scales)
        if self._left < 0:
            raise BitstreamError(
                f"segment payload: a message holds more than {SYMBOLS_PER_BYTE} symbols a byte"
            )
        if not coding_pass.scales.size:
            return np.empty(0, np.int16)
        bound = self._bounds[coding_pass.kind][coding_pass.band]
        numbers = table_numbers(coding_pass.scales, bound, self._tables)
        found = self._stream.decode(numbers, self._tables)
        self._stream.spend(float(self._tables.bits(found, numbers).sum(dtype=np.float64)))
        return symbols_of(found).astype(np.int16)


def _largest_stop(levels: Sequence[TemporalLayer], layouts: Mapping[PlaneKind, GridLayout]) -> int:
    """No stop of some levels has more symbols."""
    frames = max(len(level.frames) for level in levels)
    return frames * max(
        layout.channels * band.size[0] * band.size[1]
        for layout in layouts.values()
        for band in layout.bands
    )


def _read_steps(cursor: ByteCursor) -> StepIndices:
    base, chroma = cursor.varint(), cursor.zigzag()
    motion, mix = cursor.byte(), cursor.byte()
    offsets = tuple(cursor.zigzag() for _ in range(OFFSETS))
    if base > LARGEST_BASE or not all(-64 <= number < 64 for number in (chroma, *offsets)):
        raise BitstreamError(f"segment payload: steps out of range: {base}, {chroma}, {offsets}")
    return StepIndices(base=base, chroma=chroma, motion=motion, mix=mix, offsets=offsets)


def _read_networks(
    message: bytes, layouts: Mapping[PlaneKind, GridLayout], scales: Sequence[tuple[int, int]]
) -> dict[PlaneKind, ContextNetwork]:
    """Inverse of `_weights_message`."""
    tables = TableSet()
    numbers, defaults = [], {}
    for (kind, layout), (scale, bound) in zip(layouts.items(), scales, strict=True):
        defaults[kind] = numbers_of(default_network(kind, layout))
        if scale >= SCALES:
            raise BitstreamError(f"segment payload: a scale index of {scale}")
        if bound:
            table = tables.number(-bound, cumulative(Family.LAPLACE, scale, -bound, bound))
            numbers.append(np.full(len(defaults[kind]), table, np.int32))
    values = rans.decode(message, joined(numbers), tables)
    networks = {}
    for (kind, layout), (_, bound) in zip(layouts.items(), scales, strict=True):
        known = defaults[kind]
        if bound:
            known, values = known + values[: len(known)], values[len(known) :]
        networks[kind] = network_of(known, len(layout.bands), layout.channels)
    return networks
