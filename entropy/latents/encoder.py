"""The payload of a segment of grids, as bytes.

    header      plain bytes: steps, sizes of what follows
    side        rANS: extents, ranges of symbols
    networks    rANS: context networks, as differences to the default ones
    messages    rANS: the symbols, one message for each depth of the hierarchy

`docs/bitstream.md`, part 2, is the normative description; `grid_reader.py` reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby

import numpy as np

from nvcodec.entropy.coder import rans
from nvcodec.entropy.coder.integers import NumberArray, pack_varint, zigzag
from nvcodec.entropy.coder.probability_tables import SCALES, Family, cumulative, scale_value
from nvcodec.entropy.coder.rans import TableSet
from nvcodec.entropy.latents.context_model import CodingPass, Grids
from nvcodec.entropy.latents.context_network import ContextNetwork, numbers_of
from nvcodec.entropy.latents.default_networks import default_network
from nvcodec.entropy.latents.symbols import (
    COEFFICIENTS_PER_BYTE,
    SYMBOLS_PER_BYTE,
    coefficients,
    joined,
    places_of,
    split_ranges,
    table_numbers,
)
from nvcodec.media import Int16Array, Int32Array
from nvcodec.models.latentgrid.gop import TemporalLayer
from nvcodec.models.latentgrid.step_sizes import StepIndices
from nvcodec.models.latentgrid.subbands import GridLayout, PlaneKind


@dataclass(frozen=True, slots=True)
class CodedGrids:
    """All that the payload of a segment says.

    Attributes:
        steps: Quantisation steps.
        grids: Symbols, and the context networks they are coded with.
    """

    steps: StepIndices
    grids: Grids


def encode_grids(coded: CodedGrids, levels: Sequence[TemporalLayer]) -> bytes:
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
    networks, extents = [], {}
    for kind, layout in grids.layouts.items():
        extents[kind] = [grids.extents(level, kind) for level in levels]
        header += side.append(np.array(list(chain(*extents[kind])), np.int32))
        networks.append(_difference(grids.networks[kind], kind, layout))
    depths = [list(some) for _, some in groupby(enumerate(levels), lambda one: one[1].depth)]
    lengths = _lengths(grids, [[level for _, level in some] for some in depths])
    header += side.append(lengths)
    ranges = split_ranges(lengths, grids.layouts, len(depths))
    weights = _weights_message(networks, header)
    coded_side = side.encode()
    messages = [
        _message(grids, some, {kind: known[:, depth] for kind, known in ranges.items()}, extents)
        for depth, some in enumerate(depths)
    ]
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
    levels: Sequence[tuple[int, TemporalLayer]],
    ranges: Mapping[PlaneKind, Int32Array],
    extents: Mapping[PlaneKind, Sequence[Sequence[int]]],
) -> bytes:
    """The symbols of some levels, which come with their numbers; ranges are by rank."""
    symbols: list[Int32Array] = []
    numbers: list[Int32Array] = []
    tables = TableSet()

    def code(coding_pass: CodingPass) -> Int16Array:
        known = (
            grids.symbols[coding_pass.kind][coding_pass.band].reshape(-1).take(coding_pass.where)
        )
        symbols.append(places_of(known))
        rank = grids.layouts[coding_pass.kind].bands[coding_pass.band].rank
        numbers.append(
            table_numbers(coding_pass.scales, int(ranges[coding_pass.kind][rank]), tables)
        )
        return known

    for number, level in levels:
        for kind in grids.layouts:
            grids.code_band(level, kind, extents[kind][number], code)
    coded = rans.encode(joined(symbols), joined(numbers), tables)
    return coded + bytes(max(0, -(-sum(map(len, symbols)) // SYMBOLS_PER_BYTE) - len(coded)))


def _lengths(grids: Grids, depths: Sequence[Sequence[TemporalLayer]]) -> Int32Array:
    """Bits of the largest magnitude, kind by kind, rank by rank, depth by depth.

    Where there is no symbol but zeros, any will do: the one before costs least.
    """
    frames = [[frame for level in some for frame in level.frames] for some in depths]
    found = [1]
    for kind, layout in grids.layouts.items():
        largest = np.zeros((layout.scales + 1, len(depths)), np.int64)
        for band, symbols in zip(layout.bands, grids.symbols[kind], strict=True):
            for depth, some in enumerate(frames):
                magnitude = np.abs(symbols[some]).max(initial=0)
                largest[band.rank, depth] = max(largest[band.rank, depth], magnitude)
        for number in largest.ravel().tolist():
            found.append(number.bit_length() or found[-1])
    return np.array(found[1:], np.int32)


def _difference(network: ContextNetwork, kind: PlaneKind, layout: GridLayout) -> Int32Array:
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
