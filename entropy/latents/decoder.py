"""Decoder of wavelet latents: reads the payload of a segment, depth by depth as frames need it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from math import prod

import numpy as np

from nvcodec.entropy.coder import rans
from nvcodec.entropy.coder.frequency_tables import TableSet
from nvcodec.entropy.coder.integers import ByteCursor, IntegerArrayCoder, read_array
from nvcodec.entropy.coder.probability_tables import SCALES, DistributionFamily, cumulative
from nvcodec.entropy.latents.band_decoder import choose_band_decoder
from nvcodec.entropy.latents.context_model import LatentSymbols
from nvcodec.entropy.latents.context_network import (
    ContextNetwork,
    flatten_weights,
    unflatten_weights,
)
from nvcodec.entropy.latents.default_networks import default_network
from nvcodec.entropy.latents.symbols import (
    COEFFICIENTS_PER_BYTE,
    MAX_COEFFICIENTS,
    MAX_MAGNITUDE_BITS,
    SYMBOLS_PER_BYTE,
    coefficients_per_frame,
    concatenate,
    split_ranges,
)
from nvcodec.entropy.motion.coder import MotionCoder, open_message
from nvcodec.errors import BitstreamError
from nvcodec.models.latentgrid.gop import TemporalLayer
from nvcodec.models.latentgrid.step_sizes import LARGEST_BASE, OFFSETS, StepIndices
from nvcodec.models.latentgrid.subbands import PlaneKind, SubbandLayout


class LatentGridReader:
    """Reads the wavelet latents of a segment as far as they are asked for.

    Args:
        data: A payload without configuration.
        layouts: The subbands of every kind of plane.
        frames: Number of frames of the segment.
        layers: All frames, in coding order.
        grid_size: Height and width of motion grids, in cells.
        cell: Side of a cell, luma samples.

    Attributes:
        steps: Quantisation steps.
        sizes: Bytes of side information, of networks, and of motion and symbols of each temporal
            depth in turn.
        grids: Symbols and context networks; symbols that are not read yet are zero.
        motion: Motion of the frames that were read.

    Raises:
        BitstreamError: If the payload is malformed, or too short for so many symbols.
    """

    def __init__(
        self,
        data: bytes,
        layouts: Mapping[PlaneKind, SubbandLayout],
        frames: int,
        layers: Sequence[TemporalLayer],
        grid_size: tuple[int, int],
        cell: int,
    ) -> None:
        count = frames * coefficients_per_frame(layouts)
        if count > min(COEFFICIENTS_PER_BYTE * len(data), MAX_COEFFICIENTS):
            raise BitstreamError(
                f"segment payload: {count} coefficients in {len(data)} bytes; at most "
                f"{COEFFICIENTS_PER_BYTE} a byte, and {MAX_COEFFICIENTS} in all, are allowed"
            )
        cursor = ByteCursor(data)
        size = cursor.varint()
        end = cursor.position + size
        if end > len(data):
            raise BitstreamError(
                f"segment payload: its header ends at {end}, beyond {len(data)} bytes"
            )
        steps = _read_steps(cursor)
        side = IntegerArrayCoder()
        for _ in layouts:
            read_array(cursor, frames, side)
        # Every temporal depth has a message of its own.
        self._layers_by_depth = [
            list(equally_deep) for _, equally_deep in groupby(layers, lambda layer: layer.depth)
        ]
        ranks = sum(layout.scales + 1 for layout in layouts.values())
        read_array(cursor, ranks * len(self._layers_by_depth), side)
        scales = [(cursor.byte(), cursor.byte()) for _ in layouts]
        sizes = [cursor.varint() for _ in range(2 + 2 * len(self._layers_by_depth))]
        if cursor.position != end or end + sum(sizes) != len(data):
            raise BitstreamError(
                f"segment payload: its header ends at {cursor.position}, not {end}; its parts at "
                f"{end + sum(sizes)}, not {len(data)}"
            )
        parts = []
        for size in sizes:
            parts.append(data[end : end + size])
            end += size
        self._motion_messages, self._messages = parts[2::2], parts[3::2]
        *arrays, lengths = side.decode(parts[0])
        if lengths.min() < 1 or lengths.max() > MAX_MAGNITUDE_BITS:
            raise BitstreamError("segment payload: ranges of symbols out of range")
        self._ranges = split_ranges(lengths, layouts, len(self._layers_by_depth))
        self._extents = dict(zip(layouts, arrays, strict=True))
        for kind, layout in layouts.items():
            extents = self._extents[kind]
            if extents.min() < 0 or extents.max() > layout.scales + 1:
                raise BitstreamError(
                    f"segment payload: extents of {kind.name.lower()} out of range"
                )
        networks = _read_networks(parts[1], layouts, scales)
        self.steps, self.sizes = steps, tuple(sizes)
        self.grids = LatentSymbols(layouts, frames, networks)
        references = {
            frame: own
            for layer in layers
            for frame, own in zip(layer.frames, layer.references, strict=True)
        }
        self._motion, self._cells = MotionCoder(references, grid_size, cell), prod(grid_size)
        self.motion = self._motion.grids
        self._decoder = choose_band_decoder(self.grids)
        self._depths_read = self._frames_read = 0

    def read(self, depth: int) -> None:
        """Decode the symbols of all frames up to a temporal depth.

        Args:
            depth: Temporal depth as in `TemporalLayer`; depths that were read before cost nothing.

        Raises:
            BitstreamError: If their messages are malformed.
        """
        grids = self.grids
        for number in range(self._depths_read, min(depth + 1, len(self._layers_by_depth))):
            layers, message = self._layers_by_depth[number], self._messages[number]
            self._read_motion(layers, self._motion_messages[number])
            max_symbols = SYMBOLS_PER_BYTE * len(message)
            at_once = _largest_pass(layers, grids.layouts)
            self._decoder.begin(message, self._bounds(number), max_symbols, at_once)
            for layer in layers:
                frames = slice(self._frames_read, self._frames_read + len(layer.frames))
                for kind in grids.layouts:
                    self._decoder.decode(layer, kind, self._extents[kind][frames].tolist())
                self._frames_read = frames.stop
            self._depths_read = number + 1

    def _read_motion(self, layers: Sequence[TemporalLayer], message: bytes) -> None:
        """Decode the motion of the frames of a temporal depth."""
        frames = [frame for layer in layers if layer.references[0] for frame in layer.frames]
        if frames:
            state = open_message(message, self._cells * len(frames))
            for frame in frames:
                self._motion.decode(frame, state)
        elif message:
            raise BitstreamError("segment payload: motion of frames without references")

    def _bounds(self, depth: int) -> dict[PlaneKind, list[int]]:
        """Return the largest magnitude of every band at a temporal depth, for each kind."""
        return {
            kind: [int(self._ranges[kind][band.rank, depth]) for band in layout.bands]
            for kind, layout in self.grids.layouts.items()
        }


def _largest_pass(
    layers: Sequence[TemporalLayer], layouts: Mapping[PlaneKind, SubbandLayout]
) -> int:
    """Return an upper limit of the symbols in a coding pass of some layers."""
    frames = max(len(layer.frames) for layer in layers)
    return frames * max(
        layout.channels * band.size[0] * band.size[1]
        for layout in layouts.values()
        for band in layout.bands
    )


def _read_steps(cursor: ByteCursor) -> StepIndices:
    """Read the quantisation steps from the header."""
    base, chroma = cursor.varint(), cursor.zigzag()
    offsets = tuple(cursor.zigzag() for _ in range(OFFSETS))
    if base > LARGEST_BASE or not all(-64 <= number < 64 for number in (chroma, *offsets)):
        raise BitstreamError(f"segment payload: steps out of range: {base}, {chroma}, {offsets}")
    return StepIndices(base=base, chroma=chroma, offsets=offsets)


def _read_networks(
    message: bytes, layouts: Mapping[PlaneKind, SubbandLayout], scales: Sequence[tuple[int, int]]
) -> dict[PlaneKind, ContextNetwork]:
    """Decode the context networks.

    Args:
        message: What `_weights_message` of the encoder returned.
        layouts: The subbands of every kind of plane.
        scales: Scale index and range of the differences of each network.
    """
    tables = TableSet()
    numbers, defaults = [], {}
    for (kind, layout), (scale, bound) in zip(layouts.items(), scales, strict=True):
        defaults[kind] = flatten_weights(default_network(kind, layout))
        if scale >= SCALES:
            raise BitstreamError(f"segment payload: a scale index of {scale}")
        if bound:
            table = tables.number(
                -bound, cumulative(DistributionFamily.LAPLACE, scale, -bound, bound)
            )
            numbers.append(np.full(len(defaults[kind]), table, np.int32))
    values = rans.decode(message, concatenate(numbers), tables)
    networks = {}
    for (kind, layout), (_, bound) in zip(layouts.items(), scales, strict=True):
        weights = defaults[kind]
        if bound:
            weights, values = weights + values[: len(weights)], values[len(weights) :]
        networks[kind] = unflatten_weights(weights, len(layout.bands), layout.channels)
    return networks
