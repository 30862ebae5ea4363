"""The payload of a segment of grids, as bytes.

    header      plain bytes: steps, ranges of symbols, sizes of what follows
    side        rANS: extents
    networks    rANS: context networks, as differences to the default ones
    messages    rANS: the symbols, one message for each depth of the hierarchy

`docs/bitstream.md`, part 2, is the normative description.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, groupby
from math import log2
from typing import Any

import numpy as np
import numpy.typing as npt

from nvcodec.entropy import rans
from nvcodec.entropy.contexts import ContextNetwork, network_of, numbers_of
from nvcodec.entropy.defaults import default_network
from nvcodec.entropy.numbers import ByteCursor, NumberArray, pack_varint, read_array, zigzag
from nvcodec.entropy.rans import Int32Array, Table, TableSet
from nvcodec.entropy.tables import SCALES, Family, cumulative, scale_value
from nvcodec.entropy.walk import Grids, Int16Array, Stop
from nvcodec.errors import BitstreamError
from nvcodec.models.bands import GridLayout, Kind
from nvcodec.models.hierarchy import Level

# A message holds at most so many symbols a byte, so that a few hostile bytes cannot ask for
# gigabytes; what has more is filled up with zeros. Fitted ones have a few.
SYMBOLS_PER_BYTE = 64
# Nor may a body ask for more coefficients in all, most of which are zero without being coded.
COEFFICIENTS_PER_BYTE = 1 << 16
MOST_COEFFICIENTS = 1 << 33
STEP_OCTAVE = 256
LARGEST_BASE = 16 * STEP_OCTAVE - 1
OFFSET_OCTAVE = 16
OFFSETS = 8
LARGEST_BOUND = 2047


@dataclass(frozen=True, slots=True, kw_only=True)
class StepIndices:
    """The quantisation steps of a segment, in logarithms.

    Attributes:
        base: Of luma, in 1/256 octaves above 1/16 level; 0 to 4095.
        chroma: Of chroma above luma, in 1/16 octaves, -64 to 63.
        motion: Of displacements, in 1/16 octaves above 1/64 sample; 0 to 255.
        mix: Of k, in 1/16 octaves above 1/64; 0 to 255.
        offsets: Of a frame above the base, in 1/16 octaves, -64 to 63: the first frame, other
            anchors, then frames between by depth, the last for all deeper ones.
    """

    base: int
    chroma: int
    motion: int
    mix: int
    offsets: tuple[int, ...]

    @property
    def base_step(self) -> float:
        """Step of luma that the base stands for, levels of 255."""
        return float(2.0 ** (self.base / STEP_OCTAVE - 4))

    def luma_step(self, level: Level) -> float:
        """Step of luma in the frames of a level, levels of 255."""
        category = min(level.depth + 1, OFFSETS - 1) if level.references[0] else 0
        octaves = self.base / STEP_OCTAVE + self.offsets[category] / OFFSET_OCTAVE
        return float(2.0 ** (octaves - 4))

    def chroma_step(self, level: Level) -> float:
        """Step of chroma in the frames of a level, levels of 255."""
        return float(self.luma_step(level) * 2.0 ** (self.chroma / OFFSET_OCTAVE))

    @property
    def motion_step(self) -> float:
        """Step of displacements, luma samples."""
        return float(2.0 ** (self.motion / OFFSET_OCTAVE - 6))

    @property
    def mix_step(self) -> float:
        """Step of k."""
        return float(2.0 ** (self.mix / OFFSET_OCTAVE - 6))


def base_of(step: float) -> int:
    """The base that stands for a step of luma, or the nearest to it; see `StepIndices`."""
    return min(max(round(STEP_OCTAVE * (log2(step) + 4)), 0), LARGEST_BASE)


@dataclass(frozen=True, slots=True)
class CodedGrids:
    """All that the payload of a segment says.

    Attributes:
        steps: Quantisation steps.
        grids: Symbols, and the context networks they are coded with.
    """

    steps: StepIndices
    grids: Grids


def encode_grids(coded: CodedGrids, levels: Sequence[Level]) -> bytes:
    """Code the grids of a segment.

    Args:
        coded: What to code.
        levels: All frames, in coding order.

    Returns:
        The payload without configuration; `decode_grids` restores everything.
    """
    grids, steps = coded.grids, coded.steps
    header = bytearray(pack_varint(steps.base) + pack_varint(zigzag(steps.chroma)))
    header += bytes((steps.motion, steps.mix))
    for offset in steps.offsets:
        header += pack_varint(zigzag(offset))
    side = NumberArray()
    networks, ranges, extents = [], {}, {}
    for kind, layout in grids.layouts.items():
        coarse = _bound(grids.symbols[kind][:1])
        ranges[kind] = coarse, _bound(grids.symbols[kind][1:])
        header += pack_varint(ranges[kind][0]) + pack_varint(ranges[kind][1])
        extents[kind] = [grids.extents(level, kind) for level in levels]
        header += side.append(np.array(list(chain(*extents[kind])), np.int32))
        networks.append(_difference(grids.networks[kind], kind, layout))
    weights = _weights_message(networks, header)
    coded_side = side.encode()
    numbered = groupby(enumerate(levels), lambda one: one[1].depth)
    messages = [_message(grids, list(some), ranges, extents) for _, some in numbered]
    least = -(
        -sum(len(level.frames) for level in levels)
        * _coefficients(grids.layouts)
        // COEFFICIENTS_PER_BYTE
    )
    messages[-1] += bytes(max(0, least - len(coded_side) - len(weights) - sum(map(len, messages))))
    for part in (coded_side, weights, *messages):
        header += pack_varint(len(part))
    return pack_varint(len(header)) + bytes(header) + b"".join([coded_side, weights, *messages])


def decode_grids(
    data: bytes, layouts: Mapping[Kind, GridLayout], frames: int, levels: Sequence[Level]
) -> CodedGrids:
    """Inverse of `encode_grids`.

    Args:
        data: A payload without configuration.
        layouts: The grids of a frame.
        frames: Frames of the segment.
        levels: All frames, in coding order.

    Raises:
        BitstreamError: If the payload is malformed, or too short for so many symbols.
    """
    wanted = frames * _coefficients(layouts)
    if wanted > min(COEFFICIENTS_PER_BYTE * len(data), MOST_COEFFICIENTS):
        raise BitstreamError(
            f"segment payload: {wanted} coefficients in {len(data)} bytes; at most "
            f"{COEFFICIENTS_PER_BYTE} a byte, and {MOST_COEFFICIENTS} in all, are allowed"
        )
    cursor = ByteCursor(data)
    size = cursor.varint()
    end = cursor.position + size
    if end > len(data):
        raise BitstreamError(f"segment payload: its header ends at {end}, beyond {len(data)} bytes")
    steps = _read_steps(cursor)
    side = NumberArray()
    ranges, scales = {}, []
    for kind in layouts:
        ranges[kind] = _read_bound(cursor), _read_bound(cursor)
        read_array(cursor, frames, side)
    for _ in layouts:
        scales.append((cursor.byte(), cursor.byte()))
    depths = [list(some) for _, some in groupby(levels, lambda one: one.depth)]
    sizes = [cursor.varint() for _ in range(2 + len(depths))]
    if cursor.position != end or end + sum(sizes) != len(data):
        raise BitstreamError(
            f"segment payload: its header ends at {cursor.position}, not {end}; its parts at "
            f"{end + sum(sizes)}, not {len(data)}"
        )
    parts = []
    for size in sizes:
        parts.append(data[end : end + size])
        end += size
    extents = dict(zip(layouts, side.decode(parts[0]), strict=True))
    for kind, layout in layouts.items():
        if extents[kind].min() < 0 or extents[kind].max() > layout.scales + 1:
            raise BitstreamError(f"segment payload: extents of {kind.name.lower()} out of range")
    networks = _read_networks(parts[1], layouts, scales)
    try:
        grids = Grids(layouts, frames, networks)
    except MemoryError as error:
        raise BitstreamError(f"segment payload: no memory for {wanted} coefficients") from error
    position = 0
    for some, message in zip(depths, parts[2:], strict=True):
        reader = _Reading(message, ranges, _largest_stop(some, layouts))
        for level in some:
            place = slice(position, position + len(level.frames))
            for kind in layouts:
                grids.walk(level, kind, extents[kind][place].tolist(), reader)
            position = place.stop
    return CodedGrids(steps, grids)


def _message(
    grids: Grids,
    levels: Sequence[tuple[int, Level]],
    ranges: Mapping[Kind, tuple[int, int]],
    extents: Mapping[Kind, Sequence[Sequence[int]]],
) -> bytes:
    """The symbols of some levels, which come with their numbers."""
    symbols: list[Int32Array] = []
    numbers: list[Int32Array] = []
    tables = TableSet()

    def visit(stop: Stop) -> Int16Array:
        known = grids.symbols[stop.kind][stop.band].reshape(-1).take(stop.where)
        symbols.append(_places(known))
        numbers.append(_numbers(stop, ranges, tables))
        return known

    for number, level in levels:
        for kind in grids.layouts:
            grids.walk(level, kind, extents[kind][number], visit)
    coded = rans.encode(_joined(symbols), _joined(numbers), tables)
    return coded + bytes(max(0, -(-sum(map(len, symbols)) // SYMBOLS_PER_BYTE) - len(coded)))


class _Reading:
    """A visitor that decodes a message."""

    def __init__(
        self, message: bytes, ranges: Mapping[Kind, tuple[int, int]], largest: int
    ) -> None:
        self._left = SYMBOLS_PER_BYTE * len(message)
        self._stream = rans.Stream(message, min(self._left, largest))
        self._ranges = ranges

    def __call__(self, stop: Stop) -> Int16Array:
        self._left -= len(stop.scales)
        if self._left < 0:
            raise BitstreamError(
                f"segment payload: a message holds more than {SYMBOLS_PER_BYTE} symbols a byte"
            )
        if not stop.scales.size:
            return np.empty(0, np.int16)
        # Rounded, so that there are few sets of tables, and these are at hand.
        low, high = int(stop.scales.min()) & ~3, int(stop.scales.max()) | 3
        tables = _tables(self._ranges[stop.kind][stop.band > 0], low, high)
        numbers = (stop.scales - low).astype(np.int32)
        return _symbols(self._stream.decode(numbers, tables)).astype(np.int16)


def _numbers(stop: Stop, ranges: Mapping[Kind, tuple[int, int]], tables: TableSet) -> Int32Array:
    """The table number of each symbol of a stop."""
    bound = ranges[stop.kind][stop.band > 0]
    made = np.zeros(SCALES, np.int32)
    for scale in np.flatnonzero(np.bincount(stop.scales, minlength=SCALES)):
        made[scale] = tables.add(_table(int(scale), bound))
    return made.take(stop.scales)


@lru_cache(maxsize=64)
def _tables(bound: int, low: int, high: int) -> TableSet:
    """Tables of some scales, from `low` to `high`."""
    return TableSet([_table(scale, bound) for scale in range(low, high + 1)])


@lru_cache(maxsize=6 * SCALES)
def _table(scale: int, bound: int) -> Table:
    """The table of the symbols of some stops, in the order 0, -1, 1, -2, 2, ...

    CompressAI looks for a symbol from the first one on, and most are 0.
    """
    ascending = cumulative(Family.LAPLACE, scale, -bound, bound)
    frequencies = np.diff(ascending)[_symbols(np.arange(2 * bound + 1)) + bound]
    return Table(0, (0, *np.cumsum(frequencies).tolist()))


def _places(symbols: Int16Array) -> Int32Array:
    """Of symbols, their numbers in the order 0, -1, 1, -2, 2, ..."""
    wide = symbols.astype(np.int32)
    return np.where(wide < 0, -2 * wide - 1, 2 * wide)


def _symbols(places: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.integer[Any]]:
    """Inverse of `_places`."""
    return (places >> 1) ^ -(places & 1)


def _coefficients(layouts: Mapping[Kind, GridLayout]) -> int:
    """Symbols of a frame, coded or not."""
    return sum(layout.values for layout in layouts.values())


def _largest_stop(levels: Sequence[Level], layouts: Mapping[Kind, GridLayout]) -> int:
    """No stop of some levels has more symbols."""
    frames = max(len(level.frames) for level in levels)
    return frames * max(
        layout.channels * band.size[0] * band.size[1]
        for layout in layouts.values()
        for band in layout.bands
    )


def _bound(bands: Sequence[Int16Array]) -> int:
    """A power of two, less one, that no magnitude exceeds; 1 at least."""
    largest = max((int(np.abs(symbols).max()) for symbols in bands), default=0)
    return int((1 << max(largest, 1).bit_length()) - 1)


def _read_bound(cursor: ByteCursor) -> int:
    bound = cursor.varint()
    if not 1 <= bound <= LARGEST_BOUND:
        raise BitstreamError(
            f"segment payload: a range of +-{bound}, at most {LARGEST_BOUND} is allowed"
        )
    return bound


def _read_steps(cursor: ByteCursor) -> StepIndices:
    base, chroma = cursor.varint(), cursor.zigzag()
    motion, mix = cursor.byte(), cursor.byte()
    offsets = tuple(cursor.zigzag() for _ in range(OFFSETS))
    if base > LARGEST_BASE or not all(-64 <= number < 64 for number in (chroma, *offsets)):
        raise BitstreamError(f"segment payload: steps out of range: {base}, {chroma}, {offsets}")
    return StepIndices(base=base, chroma=chroma, motion=motion, mix=mix, offsets=offsets)


def _difference(network: ContextNetwork, kind: Kind, layout: GridLayout) -> Int32Array:
    """What a context network's weights are above those of the default one."""
    return numbers_of(network) - numbers_of(default_network(kind, layout))


def _weights_message(differences: Sequence[Int32Array], header: bytearray) -> bytes:
    """Code differences of weights; their scales and ranges go to the header."""
    tables = TableSet()
    numbers = []
    for values in differences:
        bound = int(np.abs(values).max())
        costs = [
            np.abs(values).sum() / scale_value(scale) + len(values) * np.log(scale_value(scale))
            for scale in range(SCALES)
        ]
        scale = int(np.argmin(costs)) if bound else 0
        header += bytes((scale, bound))
        if bound:
            table = tables.number(-bound, cumulative(Family.LAPLACE, scale, -bound, bound))
            numbers.append(np.full(len(values), table, np.int32))
    coded = [values for values in differences if values.any()]
    return rans.encode(_joined(coded), _joined(numbers), tables)


def _read_networks(
    message: bytes, layouts: Mapping[Kind, GridLayout], scales: Sequence[tuple[int, int]]
) -> dict[Kind, ContextNetwork]:
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
    values = rans.decode(message, _joined(numbers), tables)
    networks = {}
    for (kind, layout), (_, bound) in zip(layouts.items(), scales, strict=True):
        known = defaults[kind]
        if bound:
            known, values = known + values[: len(known)], values[len(known) :]
        networks[kind] = network_of(known, len(layout.bands), layout.channels)
    return networks


def _joined(parts: Sequence[Int16Array | Int32Array]) -> Int32Array:
    return np.concatenate(parts).astype(np.int32) if parts else np.empty(0, np.int32)
