"""The payload of a segment of grids, as bytes.

    header      plain bytes: steps, ranges of symbols, sizes of what follows
    side        rANS: extents
    networks    rANS: context networks, as differences to the default ones
    messages    rANS: the symbols, one message for each depth of the hierarchy

`docs/bitstream.md`, part 2, is the normative description; `grid_reader.py` reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby

import numpy as np

from nvcodec.entropy import rans
from nvcodec.entropy.contexts import ContextNetwork, numbers_of
from nvcodec.entropy.defaults import default_network
from nvcodec.entropy.grid_steps import StepIndices
from nvcodec.entropy.grid_symbols import (
    COEFFICIENTS_PER_BYTE,
    SYMBOLS_PER_BYTE,
    coefficients,
    joined,
    places_of,
    table_of,
)
from nvcodec.entropy.numbers import NumberArray, pack_varint, zigzag
from nvcodec.entropy.rans import Int32Array, TableSet
from nvcodec.entropy.tables import SCALES, Family, cumulative, scale_value
from nvcodec.entropy.walk import Grids, Int16Array, Stop
from nvcodec.models.bands import GridLayout, Kind
from nvcodec.models.hierarchy import Level


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
        The payload without configuration; `decode_grids` of `grid_reader.py` restores everything.
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
        * coefficients(grids.layouts)
        // COEFFICIENTS_PER_BYTE
    )
    messages[-1] += bytes(max(0, least - len(coded_side) - len(weights) - sum(map(len, messages))))
    for part in (coded_side, weights, *messages):
        header += pack_varint(len(part))
    return pack_varint(len(header)) + bytes(header) + b"".join([coded_side, weights, *messages])


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
        symbols.append(places_of(known))
        numbers.append(_numbers(stop, ranges, tables))
        return known

    for number, level in levels:
        for kind in grids.layouts:
            grids.walk(level, kind, extents[kind][number], visit)
    coded = rans.encode(joined(symbols), joined(numbers), tables)
    return coded + bytes(max(0, -(-sum(map(len, symbols)) // SYMBOLS_PER_BYTE) - len(coded)))


def _numbers(stop: Stop, ranges: Mapping[Kind, tuple[int, int]], tables: TableSet) -> Int32Array:
    """The table number of each symbol of a stop."""
    bound = ranges[stop.kind][stop.band > 0]
    made = np.zeros(SCALES, np.int32)
    for scale in np.flatnonzero(np.bincount(stop.scales, minlength=SCALES)):
        made[scale] = tables.add(table_of(int(scale), bound))
    return made.take(stop.scales)


def _bound(bands: Sequence[Int16Array]) -> int:
    """A power of two, less one, that no magnitude exceeds; 1 at least."""
    largest = max((int(np.abs(symbols).max()) for symbols in bands), default=0)
    return int((1 << max(largest, 1).bit_length()) - 1)


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
    return rans.encode(joined(coded), joined(numbers), tables)
