"""Decoder of the symbols of a temporal depth by compiled loops, which run beside other threads.

Importing it takes numba, and compiles the loops unless that was done before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias, TypeVar

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
    TOO_MANY,
    Message,
    Network,
    Tables,
    decode_band,
)
from nvcodec.entropy.latents.context_model import LatentSymbols
from nvcodec.entropy.latents.symbols import (
    MAX_MAGNITUDE_BITS,
    from_zigzag_indices,
    too_many_symbols,
)
from nvcodec.media import Int16Array, UInt8Array
from nvcodec.models.latentgrid.gop import TemporalLayer
from nvcodec.models.latentgrid.subbands import PlaneKind, Size

_Array = TypeVar("_Array", bound=npt.NDArray[Any])
_Five: TypeAlias = tuple[_Array, _Array, _Array, _Array, _Array]

# Instead of a band that there is not.
_NO_SYMBOLS: Int16Array = np.empty((0, 0, 0, 0), np.int16)
_NO_SUMS: UInt8Array = np.empty((0, 0, 0, 0), np.uint8)


class _Band(NamedTuple):
    """What `decode_band` takes of a band, whatever the layer.

    Attributes:
        bands: Symbols of the band and of those in its context.
        sums: Neighbour sums of the same.
        size: Height and width of the band.
        shift: How many scales coarser the band above is.
        network: The context network, with the biases of the band.
    """

    bands: _Five[Int16Array]
    sums: _Five[UInt8Array]
    size: Size
    shift: int
    network: Network


class CompiledBandDecoder:
    """A `BandDecoder` of compiled loops, bit-exact with `PlainBandDecoder`.

    Args:
        grids: Where symbols are stored; those that are decoded are zero before.
    """

    def __init__(self, grids: LatentSymbols) -> None:
        self._layouts = grids.layouts
        self._frames = len(grids.symbols[PlaneKind.LUMA][0])
        self._bands = {kind: _prepared(grids, kind) for kind in grids.layouts}

    def begin(
        self,
        message: bytes,
        bounds: Mapping[PlaneKind, Sequence[int]],
        max_symbols: int,
        at_once: int,
    ) -> None:
        """Begin a message; see `BandDecoder`."""
        self._size, self._is_valid = len(message), rans.is_valid(message)
        padded = message + bytes(max(8 - len(message), -len(message) % 4))
        words = np.frombuffer(padded, "<u4").astype(np.uint32)
        state = np.array([int.from_bytes(padded[:8], "little")], np.uint64)
        counts = np.array([2, max_symbols], np.int64)
        # A message that does not begin with a state has ended before its first symbol.
        bits_left = np.array([8.0 * len(message) if self._is_valid else -1.0])
        self._message: Message = words, state, counts, bits_left
        self._tables = {kind: [_tables(bound) for bound in bounds[kind]] for kind in bounds}

    def decode(self, layer: TemporalLayer, kind: PlaneKind, extents: Sequence[int]) -> None:
        """Decode one kind of plane of a temporal layer; see `BandDecoder`."""
        layout = self._layouts[kind]
        sides = len(layer.references[0]) if sees_references(layer) else 0
        references = np.array(layer.references, np.int64)[:, :sides]
        frames, reach = np.array(layer.frames, np.int64), np.array(extents)
        # Loops that do not check their indices get none beyond the arrays.
        if not all(0 <= number < self._frames for number in (*layer.frames, *references.flat)):
            raise AssertionError(f"a layer of a segment of {self._frames} frames: {layer}")
        for number, (band, arrays) in enumerate(zip(layout.bands, self._bands[kind], strict=True)):
            coded = reach > band.rank
            if not coded.any():
                continue
            outcome = decode_band(
                arrays.bands,
                arrays.sums,
                frames[coded],
                np.ascontiguousarray(references[coded]),
                arrays.size,
                arrays.shift,
                common_inputs(layer, layout, band),
                arrays.network,
                self._tables[kind][number],
                self._message,
            )
            if outcome == TOO_MANY:
                raise too_many_symbols()
            if outcome != DONE:
                raise rans.ended(self._size, self._is_valid)


def _prepared(grids: LatentSymbols, kind: PlaneKind) -> list[_Band]:
    """Return what `decode_band` takes of every band of a kind of plane."""
    network = grids.networks[kind]
    hidden = np.concatenate([network.hidden, network.linear[:, None]], axis=1, dtype=np.int32)
    output, biases = network.output.astype(np.int32), network.biases.astype(np.int64)
    return [
        _Band(
            _around(grids.symbols, kind, number, context, _NO_SYMBOLS),
            _around(grids.neighbour_sums, kind, number, context, _NO_SUMS),
            band.size,
            context.shift,
            (hidden, output, biases[number]),
        )
        for number, (band, context) in enumerate(
            zip(grids.layouts[kind].bands, grids.contexts(kind), strict=True)
        )
    ]


def _around(
    arrays: Mapping[PlaneKind, Sequence[_Array]],
    kind: PlaneKind,
    number: int,
    context: BandContext,
    none: _Array,
) -> _Five[_Array]:
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


@lru_cache(maxsize=MAX_MAGNITUDE_BITS)
def _tables(bound: int) -> Tables:
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
