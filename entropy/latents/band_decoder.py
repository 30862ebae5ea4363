"""Decoder of the symbols of a temporal depth by compiled loops, which run beside other threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from nvcodec.entropy.coder import rans
from nvcodec.entropy.coder.probability_tables import (
    PRECISION,
    SCALES,
    DistributionFamily,
    frequencies,
)
from nvcodec.entropy.latents.band_context import BandContext, common_inputs, sees_references
from nvcodec.entropy.latents.band_loops import (
    DONE,
    SECOND_PASS,
    TOO_MANY,
    UInt32Array,
    decode_band,
)
from nvcodec.entropy.latents.context_model import LatentSymbols
from nvcodec.entropy.latents.context_network import ONE, ContextNetwork
from nvcodec.entropy.latents.symbols import (
    MAX_MAGNITUDE_BITS,
    from_zigzag_indices,
    too_many_symbols,
)
from nvcodec.media import Float32Array, Int16Array, Int32Array, Int64Array, UInt8Array
from nvcodec.models.latentgrid.gop import TemporalLayer
from nvcodec.models.latentgrid.subbands import PlaneKind

_Array = TypeVar("_Array", bound=npt.NDArray[Any])

# Instead of a band that there is not.
_NO_SYMBOLS: Int16Array = np.empty((0, 0, 0, 0), np.int16)
_NO_SUMS: UInt8Array = np.empty((0, 0, 0, 0), np.uint8)


class BandDecoder:
    """Decodes the message of a temporal depth; the twin of `decoder.PlainBandDecoder`.

    Args:
        message: The message.
        bounds: The largest magnitude in every band, for each kind.
        grids: Where symbols are stored; those of the depth are zero.
        max_symbols: Largest number of symbols in the message.
    """

    def __init__(
        self,
        message: bytes,
        bounds: Mapping[PlaneKind, Sequence[int]],
        grids: LatentSymbols,
        max_symbols: int,
    ) -> None:
        self._bounds, self._grids, self._size = bounds, grids, len(message)
        padded = message + bytes(max(8 - len(message), -len(message) % 4))
        self._words = np.frombuffer(padded, "<u4").astype(np.uint32)
        self._state = np.array([int.from_bytes(padded[:8], "little")], np.uint64)
        self._is_valid = rans.is_valid(message)
        self._counts = np.array([2, max_symbols], np.int64)
        self._bits_left = np.array([8.0 * len(message) if self._is_valid else -1.0])
        self._networks = {kind: _integers(network) for kind, network in grids.networks.items()}

    def decode(self, layer: TemporalLayer, kind: PlaneKind, extents: Sequence[int]) -> None:
        """Decode one kind of plane of a temporal layer; see `LatentSymbols.code_band`.

        Args:
            layer: Frames and their references; the references are decoded already.
            kind: Kind of plane.
            extents: Number of ranks that are coded for each frame of the layer.

        Raises:
            BitstreamError: If the message is malformed, or has ended.
        """
        layout = self._grids.layouts[kind]
        sides = len(layer.references[0]) if sees_references(layer) else 0
        references = np.array(layer.references, np.int64)[:, :sides]
        frames, reach = np.array(layer.frames, np.int64), np.array(extents)
        # What runs without checks of its indices is given none beyond the arrays.
        count = len(self._grids.symbols[kind][0])
        if not all(0 <= number < count for number in (*layer.frames, *references.flat)):
            raise AssertionError(f"a layer of a segment of {count} frames: {layer}")
        for number, band in enumerate(layout.bands):
            coded = reach > band.rank
            if coded.any():
                common = common_inputs(layer, layout, band).astype(np.int32)
                self._band(kind, number, frames[coded], references[coded], common)

    def _band(
        self,
        kind: PlaneKind,
        number: int,
        frames: Int64Array,
        references: Int64Array,
        common: Int32Array,
    ) -> None:
        """Decode one band of some frames.

        Args:
            kind: Kind of plane.
            number: Number of the band.
            frames: Numbers of the frames.
            references: Their reference frames, shape (frames, references).
            common: The inputs of the context network that all symbols share, shape (20,).
        """
        context = self._grids.contexts(kind)[number]
        weights, output, biases = self._networks[kind]
        first_pass = common @ weights
        outcome = decode_band(
            _bands(self._grids.symbols, kind, number, context, _NO_SYMBOLS),
            _bands(self._grids.neighbour_sums, kind, number, context, _NO_SUMS),
            frames,
            np.ascontiguousarray(references),
            *self._grids.layouts[kind].bands[number].size,
            context.shift,
            weights,
            output,
            np.stack([first_pass, first_pass + ONE * weights[SECOND_PASS]]),
            biases[number],
            *_tables(self._bounds[kind][number]),
            self._words,
            self._state,
            self._counts,
            self._bits_left,
        )
        if outcome == TOO_MANY:
            raise too_many_symbols()
        if outcome != DONE:
            raise rans.ended(self._size, self._is_valid)


def _bands(
    arrays: Mapping[PlaneKind, Sequence[_Array]],
    kind: PlaneKind,
    number: int,
    context: BandContext,
    none: _Array,
) -> tuple[_Array, _Array, _Array, _Array, _Array]:
    """Return the arrays of a band and of those in its context, in the order of `band_loops`.

    Args:
        arrays: Arrays of all bands of each kind.
        kind: Kind of plane.
        number: Number of the band.
        context: The bands in its context.
        none: Stands for those that there are not.
    """
    own = arrays[kind]
    above = none if context.above is None else own[context.above]
    siblings = [*(own[sibling] for sibling in context.siblings), none, none]
    luma = none if context.luma is None else arrays[PlaneKind.LUMA][context.luma]
    return own[number], above, siblings[0], siblings[1], luma


def _integers(network: ContextNetwork) -> tuple[Int32Array, Int32Array, Int64Array]:
    """Return the weights of a network as `decode_band` takes them, and biases of every band."""
    first = np.concatenate([network.hidden, network.linear[:, None]], axis=1, dtype=np.int32)
    return first, network.output.astype(np.int32), network.biases.astype(np.int64)


@lru_cache(maxsize=MAX_MAGNITUDE_BITS)
def _tables(bound: int) -> tuple[UInt32Array, Float32Array]:
    """Return cumulative frequencies and code lengths: `laplace_table` at every scale.

    Args:
        bound: Largest magnitude.

    Returns:
        Cumulative frequencies, shape (64, 2 * bound + 2); bits, shape (64, 2 * bound + 1).
    """
    ascending = frequencies(DistributionFamily.LAPLACE, -bound, bound)
    ordered = ascending[:, from_zigzag_indices(np.arange(2 * bound + 1)) + bound]
    cumulative = np.zeros((SCALES, 2 * bound + 2), np.uint32)
    cumulative[:, 1:] = np.cumsum(ordered, axis=1)
    return cumulative, (PRECISION - np.log2(ordered)).astype(np.float32, order="C")
