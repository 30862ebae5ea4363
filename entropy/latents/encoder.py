"""Encoder of wavelet latents: the payload of a segment as bytes.

    header      plain bytes: quantisation steps, sizes of what follows
    side        rANS: extents, ranges of symbols
    networks    rANS: context networks, as differences to the default ones
    messages    rANS: for each temporal depth one of motion and one of the symbols

`docs/bitstream.md`, part 2, is the normative description; `nvcodec.entropy.latents.decoder` reads
it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby

import numpy as np

from nvcodec.entropy.coder import rans
from nvcodec.entropy.coder.frequency_tables import TableSet
from nvcodec.entropy.coder.integers import IntegerArrayCoder, pack_varint, zigzag
from nvcodec.entropy.coder.probability_tables import (
    SCALES,
    DistributionFamily,
    cumulative,
    scale_value,
)
from nvcodec.entropy.latents.context_model import CodingPass, LatentSymbols
from nvcodec.entropy.latents.context_network import ContextNetwork, flatten_weights
from nvcodec.entropy.latents.default_networks import default_network
from nvcodec.entropy.latents.symbols import (
    COEFFICIENTS_PER_BYTE,
    SYMBOLS_PER_BYTE,
    coefficients_per_frame,
    concatenate,
    split_ranges,
    table_numbers,
    zigzag_indices,
)
from nvcodec.entropy.motion.coder import CodedMotion, motion_message
from nvcodec.media import Int16Array, Int32Array
from nvcodec.models.latentgrid.gop import TemporalLayer
from nvcodec.models.latentgrid.step_sizes import StepIndices
from nvcodec.models.latentgrid.subbands import PlaneKind, SubbandLayout


@dataclass(frozen=True, slots=True)
class CodedGrids:
    """The content of the payload of a segment.

    Attributes:
        steps: Quantisation steps.
        grids: Symbols, and the context networks they are coded with.
        motion: Motion of the frames of each temporal depth, in coding order.
        cells: Number of motion cells of a frame.
    """

    steps: StepIndices
    grids: LatentSymbols
    motion: Sequence[Sequence[CodedMotion]]
    cells: int


def encode_grids(coded: CodedGrids, layers: Sequence[TemporalLayer]) -> bytes:
    """Encode the wavelet latents of a segment.

    Args:
        coded: The latents, their quantisation steps and context networks.
        layers: All frames, in coding order.

    Returns:
        The payload without configuration, for `LatentGridReader`.
    """
    grids, steps = coded.grids, coded.steps
    header = bytearray(pack_varint(steps.base) + pack_varint(zigzag(steps.chroma)))
    for offset in steps.offsets:
        header += pack_varint(zigzag(offset))
    side = IntegerArrayCoder()
    differences, extents = [], {}
    for kind, layout in grids.layouts.items():
        extents[kind] = [grids.extents(layer, kind) for layer in layers]
        header += side.append(np.array(list(chain(*extents[kind])), np.int32))
        differences.append(_weight_differences(grids.networks[kind], kind, layout))
    # Layers of each temporal depth, with their numbers in coding order.
    depths = [
        list(numbered) for _, numbered in groupby(enumerate(layers), lambda pair: pair[1].depth)
    ]
    lengths = _lengths(grids, [[layer for _, layer in numbered] for numbered in depths])
    header += side.append(lengths)
    ranges = split_ranges(lengths, grids.layouts, len(depths))
    weights = _weights_message(differences, header)
    coded_side = side.encode()
    messages = []
    for depth, numbered in enumerate(depths):
        messages.append(motion_message(coded.motion[depth], coded.cells))
        bounds = {kind: bounds[:, depth] for kind, bounds in ranges.items()}
        messages.append(_message(grids, numbered, bounds, extents))
    min_size = -(
        -sum(len(layer.frames) for layer in layers)
        * coefficients_per_frame(grids.layouts)
        // COEFFICIENTS_PER_BYTE
    )
    size = len(coded_side) + len(weights) + sum(map(len, messages))
    messages[-1] += bytes(max(0, min_size - size))
    for part in (coded_side, weights, *messages):
        header += pack_varint(len(part))
    return pack_varint(len(header)) + bytes(header) + b"".join([coded_side, weights, *messages])


def _message(
    grids: LatentSymbols,
    layers: Sequence[tuple[int, TemporalLayer]],
    ranges: Mapping[PlaneKind, Int32Array],
    extents: Mapping[PlaneKind, Sequence[Sequence[int]]],
) -> bytes:
    """Encode the symbols of one temporal depth.

    Args:
        grids: The symbols.
        layers: The layers of the depth, each with its number in coding order.
        ranges: Largest magnitude by rank, for each kind.
        extents: Extents of every layer, for each kind.
    """
    symbols: list[Int32Array] = []
    numbers: list[Int32Array] = []
    tables = TableSet()

    def code(coding_pass: CodingPass) -> Int16Array:
        stored = grids.symbols[coding_pass.kind][coding_pass.band]
        coded = stored.reshape(-1).take(coding_pass.indices)
        symbols.append(zigzag_indices(coded))
        rank = grids.layouts[coding_pass.kind].bands[coding_pass.band].rank
        numbers.append(
            table_numbers(coding_pass.scales, int(ranges[coding_pass.kind][rank]), tables)
        )
        return coded

    for number, layer in layers:
        for kind in grids.layouts:
            grids.code_band(layer, kind, extents[kind][number], code)
    message = rans.encode(concatenate(symbols), concatenate(numbers), tables)
    min_size = -(-sum(map(len, symbols)) // SYMBOLS_PER_BYTE)
    return message + bytes(max(0, min_size - len(message)))


def _lengths(
    grids: LatentSymbols, layers_by_depth: Sequence[Sequence[TemporalLayer]]
) -> Int32Array:
    """Return the bits of the largest magnitude, kind by kind, rank by rank, depth by depth.

    Where all symbols are zero, any number will do; the number before costs least.
    """
    frames = [[frame for layer in layers for frame in layer.frames] for layers in layers_by_depth]
    lengths = [1]
    for kind, layout in grids.layouts.items():
        largest = np.zeros((layout.scales + 1, len(layers_by_depth)), np.int64)
        for band, symbols in zip(layout.bands, grids.symbols[kind], strict=True):
            for depth, frames_of_depth in enumerate(frames):
                magnitude = np.abs(symbols[frames_of_depth]).max(initial=0)
                largest[band.rank, depth] = max(largest[band.rank, depth], magnitude)
        for number in largest.ravel().tolist():
            lengths.append(number.bit_length() or lengths[-1])
    return np.array(lengths[1:], np.int32)


def _weight_differences(
    network: ContextNetwork, kind: PlaneKind, layout: SubbandLayout
) -> Int32Array:
    """Return the differences of a context network's weights to those of the default network."""
    return flatten_weights(network) - flatten_weights(default_network(kind, layout))


def _weights_message(differences: Sequence[Int32Array], header: bytearray) -> bytes:
    """Encode differences of weights; their scales and ranges are appended to the header."""
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
            table = tables.number(
                -bound, cumulative(DistributionFamily.LAPLACE, scale, -bound, bound)
            )
            numbers.append(np.full(len(values), table, np.int32))
    coded = [values for values in differences if values.any()]
    return rans.encode(concatenate(coded), concatenate(numbers), tables)
