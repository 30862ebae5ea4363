"""Decoders of the symbols of a temporal depth: the plain one, and the choice of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from nvcodec.entropy.coder import rans
from nvcodec.entropy.coder.frequency_tables import TableSet
from nvcodec.entropy.latents.context_model import CodingPass, LatentSymbols
from nvcodec.entropy.latents.symbols import from_zigzag_indices, table_numbers, too_many_symbols
from nvcodec.host.compiled import LOADING, is_available
from nvcodec.media import Int16Array
from nvcodec.models.latentgrid.gop import TemporalLayer
from nvcodec.models.latentgrid.subbands import PlaneKind


class BandDecoder(Protocol):
    """Decodes the messages of a segment into its `LatentSymbols`, in coding order."""

    def begin(
        self,
        message: bytes,
        bounds: Mapping[PlaneKind, Sequence[int]],
        max_symbols: int,
        at_once: int,
    ) -> None:
        """Begin the message of a temporal depth.

        Args:
            message: The message.
            bounds: The largest magnitude in every band, for each kind.
            max_symbols: Largest number of symbols in the message.
            at_once: Largest number of symbols in a coding pass.
        """
        ...

    def decode(self, layer: TemporalLayer, kind: PlaneKind, extents: Sequence[int]) -> None:
        """Decode one kind of plane of a temporal layer; see `LatentSymbols.code_band`.

        Args:
            layer: Frames and their references; the references are decoded already.
            kind: Kind of plane.
            extents: Number of ranks that are coded for each frame of the layer.

        Raises:
            BitstreamError: If the message is malformed, or has ended.
        """
        ...


def choose_band_decoder(grids: LatentSymbols) -> BandDecoder:
    """Return the decoder of compiled loops, or the plain one where loops cannot be compiled."""
    if not is_available():
        return PlainBandDecoder(grids)
    with LOADING:
        from nvcodec.entropy.latents.compiled_band_decoder import CompiledBandDecoder
    return CompiledBandDecoder(grids)


class PlainBandDecoder:
    """A `BandDecoder` on arrays of symbols: slower, and what the compiled loops must agree with.

    Args:
        grids: Where symbols are stored.
    """

    def __init__(self, grids: LatentSymbols) -> None:
        self._grids, self._tables = grids, TableSet()

    def begin(
        self,
        message: bytes,
        bounds: Mapping[PlaneKind, Sequence[int]],
        max_symbols: int,
        at_once: int,
    ) -> None:
        """Begin the message of a temporal depth; see `BandDecoder`."""
        self._bounds, self._symbols_left = bounds, max_symbols
        self._stream = rans.MessageDecoder(message, min(max_symbols, at_once))

    def decode(self, layer: TemporalLayer, kind: PlaneKind, extents: Sequence[int]) -> None:
        """Decode one kind of plane of a temporal layer; see `BandDecoder`."""
        self._grids.code_band(layer, kind, extents, self._pass)

    def _pass(self, coding_pass: CodingPass) -> Int16Array:
        """Decode the symbols of a coding pass; this is a `SymbolCoder`."""
        self._symbols_left -= len(coding_pass.scales)
        if self._symbols_left < 0:
            raise too_many_symbols()
        if not coding_pass.scales.size:
            return np.empty(0, np.int16)
        bound = self._bounds[coding_pass.kind][coding_pass.band]
        numbers = table_numbers(coding_pass.scales, bound, self._tables)
        indices = self._stream.decode(numbers, self._tables)
        self._stream.spend(float(self._tables.bits(indices, numbers).sum(dtype=np.float64)))
        return from_zigzag_indices(indices).astype(np.int16)
