"""The context model of wavelet latents: coding order of the symbols, and the inputs of the network.

The latents of a segment are coded by temporal layer (see `nvcodec.models.latentgrid.gop`), then by
kind of plane: motion, luma, chroma. Planes are coded from coarse to fine, band by band, and every
band in two checkerboard passes. Quantiser, encoder, decoder and training of the context networks
share this order. They differ only in the `SymbolCoder` that handles each pass.

A symbol beyond the coarsest details is coded only if its parent, the co-located symbol of the same
orientation one scale coarser, or one of the parent's eight neighbours is not zero. Otherwise it is
zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Protocol

import numpy as np
import numpy.typing as npt

from nvcodec.entropy.latents.band_context import (
    BandContext,
    band_contexts,
    common_inputs,
    sees_references,
)
from nvcodec.entropy.latents.context_inputs import add_first_pass, take_logarithms
from nvcodec.entropy.latents.context_network import INPUTS, ContextNetwork
from nvcodec.entropy.latents.neighbourhood import (
    LARGEST_SUM,
    Neighbourhood,
    Positions,
    add_up,
    is_odd_square,
    store_neighbour_sums,
    take_magnitudes,
    take_sums,
)
from nvcodec.media import Float32Array, Int16Array, UInt8Array
from nvcodec.models.latentgrid.gop import TemporalLayer
from nvcodec.models.latentgrid.subbands import PlaneKind, SubbandLayout


@dataclass(frozen=True, slots=True)
class CodingPass:
    """The symbols of one checkerboard pass over a subband, which are coded together.

    Attributes:
        kind: Kind of plane.
        band: Number of the band.
        shape: Shape of `LatentSymbols.symbols[kind][band]`.
        indices: Flat indices of the symbols in that array, shape (N,).
        channels: Channel of each symbol, shape (N,).
        inputs: Inputs of the context network, shape (N, 20).
        scales: Scale index of each symbol's table, shape (N,).
    """

    kind: PlaneKind
    band: int
    shape: tuple[int, ...]
    indices: Positions
    channels: Positions
    inputs: Float32Array
    scales: Positions

    @property
    def positions(self) -> tuple[Positions, ...]:
        """Frame, channel, row and column of each symbol, shape (N,) each."""
        return np.unravel_index(self.indices, self.shape)


class SymbolCoder(Protocol):
    """A function that quantises, encodes or decodes the symbols of a coding pass."""

    def __call__(self, coding_pass: CodingPass) -> Int16Array:
        """Return the symbols of a pass, int16, shape (N,). Passes come in coding order."""
        ...


class LatentSymbols:
    """The wavelet latents of a segment, as far as they are coded.

    Args:
        layouts: The subbands of every kind of plane.
        frames: Number of frames in the segment.
        networks: The context network of each kind.

    Attributes:
        layouts: The subbands of every kind of plane.
        networks: The context network of each kind.
        symbols: Symbols of each kind and band, int16, shape (frames, channels, *padded size).
        neighbour_sums: Sums of the magnitudes of the 3 x 3 symbols around each, at most 255, uint8,
            same shapes.
    """

    def __init__(
        self,
        layouts: Mapping[PlaneKind, SubbandLayout],
        frames: int,
        networks: Mapping[PlaneKind, ContextNetwork],
    ) -> None:
        self.layouts, self.networks = layouts, networks
        self.symbols: dict[PlaneKind, list[Int16Array]] = {}
        self.neighbour_sums: dict[PlaneKind, list[UInt8Array]] = {}
        for kind, layout in layouts.items():
            shapes = [(frames, layout.channels, *band.padded_size) for band in layout.bands]
            self.symbols[kind] = [np.zeros(shape, np.int16) for shape in shapes]
            self.neighbour_sums[kind] = [np.zeros(shape, np.uint8) for shape in shapes]

    def code_band(
        self, layer: TemporalLayer, kind: PlaneKind, extents: Sequence[int], code: SymbolCoder
    ) -> None:
        """Code one kind of plane of a temporal layer, band by band, and store the symbols.

        This is done once for each layer and kind, or again with the same symbols.

        Args:
            layer: Frames and their references; the references must be coded already.
            kind: Kind of plane; luma must be coded before chroma.
            extents: Number of ranks that are coded for each frame of the layer: 0 for none, 1 for
                the coarsest band alone, and so on. The other symbols of the frame are zero.
            code: Function that handles every coding pass.
        """
        for band_number, band in enumerate(self.layouts[kind].bands):
            coded_frames = np.flatnonzero(np.array(extents) > band.rank)
            if coded_frames.size:
                self._band(layer, kind, band_number, coded_frames, code)

    def contexts(self, kind: PlaneKind) -> tuple[BandContext, ...]:
        """Return the context of every band of a kind of plane."""
        luma = self.layouts[PlaneKind.LUMA] if kind is PlaneKind.CHROMA else None
        return band_contexts(self.layouts[kind], luma)

    def extents(self, layer: TemporalLayer, kind: PlaneKind) -> list[int]:
        """Return the smallest extents that hold all nonzero symbols of the frames of a layer."""
        frames = list(layer.frames)
        extents = np.zeros(len(frames), np.int64)
        for band, symbols in zip(self.layouts[kind].bands, self.symbols[kind], strict=True):
            extents[symbols[frames].any(axis=(1, 2, 3))] = band.rank + 1
        return [int(extent) for extent in extents]

    def _band(
        self,
        layer: TemporalLayer,
        kind: PlaneKind,
        band_number: int,
        coded_frames: Positions,
        code: SymbolCoder,
    ) -> None:
        """Code both passes over one band of a layer.

        Args:
            layer: The layer.
            kind: Kind of plane.
            band_number: Number of the band.
            coded_frames: Indices of the frames of the layer in which the band is coded, shape (N,).
            code: Function that handles every coding pass.
        """
        network = self.networks[kind]
        frames = np.array(layer.frames)[coded_frames]
        active = self._active(kind, band_number, frames)
        flat = np.flatnonzero(active)
        if not flat.size:
            return
        odd = is_odd_square(flat, active.shape)
        passes = flat[~odd], flat[odd]
        positions = Neighbourhood(np.concatenate(passes), active.shape, frames)
        inputs = self._inputs(layer, kind, band_number, coded_frames, positions)
        biases = network.biases[band_number].take(positions.channel)
        symbols = self.symbols[kind][band_number]
        # With a border of zeros, every position has all eight neighbours.
        _, channels, height, width = active.shape
        magnitudes = np.zeros((len(frames), channels, height + 2, width + 2), np.int16)
        padded = (positions.plane * (height + 2) + positions.y + 1) * (width + 2) + positions.x + 1
        first = len(passes[0])
        for second_pass, part in enumerate((slice(0, first), slice(first, None))):
            if second_pass:
                add_first_pass(inputs[:, part], magnitudes, padded[part], positions, part)
            rows = inputs[:, part].T
            scales = network.scales(rows, biases[part])
            indices = positions.indices[part]
            coding_pass = CodingPass(
                kind, band_number, symbols.shape, indices, positions.channel[part], rows, scales
            )
            coded = code(coding_pass)
            symbols.reshape(-1)[indices] = coded
            magnitudes.reshape(-1)[padded[part]] = np.abs(coded)
        nonzero = padded[magnitudes.reshape(-1).take(padded) > 0]
        store_neighbour_sums(self.neighbour_sums[kind][band_number], frames, magnitudes, nonzero)

    def _active(
        self, kind: PlaneKind, band_number: int, frames: Positions
    ) -> npt.NDArray[np.bool_]:
        """Return where symbols are coded, bool, shape (frames, channels, *padded size)."""
        layout = self.layouts[kind]
        band = layout.bands[band_number]
        height, width = band.size
        active = np.zeros((len(frames), layout.channels, *band.padded_size), np.bool_)
        inside = active[..., :height, :width]
        if band.parent is None:
            inside[:] = True
        else:
            parents = self.neighbour_sums[kind][band.parent][frames] > 0
            for y, x in product(range(2), range(2)):
                children = inside[..., y::2, x::2]
                children[:] = parents[..., : children.shape[2], : children.shape[3]]
        return active

    def _inputs(
        self,
        layer: TemporalLayer,
        kind: PlaneKind,
        band_number: int,
        coded_frames: Positions,
        positions: Neighbourhood,
    ) -> Float32Array:
        """Return the inputs of the context network that both passes have, shape (20, N).

        Args:
            layer: The layer.
            kind: Kind of plane.
            band_number: Number of the band.
            coded_frames: Indices of the frames of the layer in which the band is coded.
            positions: The N positions, those of the first pass first.
        """
        layout = self.layouts[kind]
        inputs = np.empty((INPUTS, len(positions.flat)), np.float32)
        inputs[:] = common_inputs(layer, layout, layout.bands[band_number])[:, None]
        symbols, sums = self.symbols[kind], self.neighbour_sums[kind]
        context = self.contexts(kind)[band_number]
        if context.above is not None:
            indices = positions.in_band(symbols[context.above].shape, context.shift)
            take_logarithms(take_magnitudes(symbols[context.above], indices), inputs[0])
            take_logarithms(sums[context.above].reshape(-1).take(indices), inputs[1])
        if context.siblings:
            take_logarithms(
                add_up(take_magnitudes(symbols[o], positions.indices) for o in context.siblings),
                inputs[2],
            )
            around_siblings = add_up(
                take_sums(sums[other], positions.indices) for other in context.siblings
            )
            take_logarithms(np.minimum(around_siblings, LARGEST_SUM), inputs[3])
        if sees_references(layer):
            references = np.array(layer.references)[coded_frames]
            in_references = [positions.in_frames(frames) for frames in references.T]
            take_logarithms(
                add_up(take_magnitudes(symbols[band_number], indices) for indices in in_references),
                inputs[6],
            )
            take_logarithms(
                add_up(take_sums(sums[band_number], indices) for indices in in_references),
                inputs[7],
            )
        if context.luma is not None:
            luma = self.symbols[PlaneKind.LUMA][context.luma]
            luma_sums = self.neighbour_sums[PlaneKind.LUMA][context.luma]
            indices = positions.in_band(luma.shape, 0)
            take_logarithms(take_magnitudes(luma, indices), inputs[8])
            take_logarithms(luma_sums.reshape(-1).take(indices), inputs[9])
        return inputs
