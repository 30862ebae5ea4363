"""What the context of a symbol is made of: other bands, and inputs that a whole band has in common."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from nvcodec.entropy.latents.context_network import INPUTS, ONE
from nvcodec.media import Int32Array
from nvcodec.models.latentgrid.gop import PREVIOUS_SEGMENT, TemporalLayer
from nvcodec.models.latentgrid.subbands import Band, SubbandLayout

# Units of the inputs for depth and rank, and the largest depth that an input shows.
_DEPTH_UNIT, _MAX_DEPTH = 16, 6


@dataclass(frozen=True, slots=True)
class BandContext:
    """The bands that the context of a band looks at.

    Attributes:
        above: The parent, or the low band for the coarsest details; None for the low band.
        shift: How many scales coarser `above` is, 0 or 1. With 1 it says which symbols are coded.
        siblings: The bands of the same scale that are coded before, at most two.
        luma: For chroma, the band of luma with the same rank, orientation and size, if there is one.
    """

    above: int | None
    shift: int
    siblings: tuple[int, ...]
    luma: int | None


@lru_cache(maxsize=64)
def band_contexts(layout: SubbandLayout, luma: SubbandLayout | None) -> tuple[BandContext, ...]:
    """Return the context of every band of a layout.

    Args:
        layout: Subbands of a kind of plane.
        luma: For chroma, the subbands of luma.
    """
    luma_bands = {} if luma is None else {_place(band): n for n, band in enumerate(luma.bands)}
    contexts: list[BandContext] = []
    for number, band in enumerate(layout.bands):
        siblings = [n for n, other in enumerate(layout.bands[:number]) if other.rank == band.rank]
        above = 0 if band.parent is None else band.parent
        context = BandContext(
            above if band.rank else None,
            int(band.parent is not None),
            tuple(siblings),
            luma_bands.get(_place(band)),
        )
        _check_sizes(band, context, layout, luma)
        contexts.append(context)
    return tuple(contexts)


def _check_sizes(
    band: Band, context: BandContext, layout: SubbandLayout, luma: SubbandLayout | None
) -> None:
    """Check that every position of a band has its place in the bands of its context.

    Compiled loops rely on it: they do not check their indices.
    """
    around = [(layout.bands[sibling], 0) for sibling in context.siblings]
    if context.above is not None:
        around.append((layout.bands[context.above], context.shift))
    if luma is not None and context.luma is not None:
        around.append((luma.bands[context.luma], 0))
    for other, shift in ((band, 0), *around):
        for side, limit in zip(band.size, other.padded_size, strict=True):
            if side > limit << shift:
                raise AssertionError(f"{band} does not fit {other}")


def _place(band: Band) -> tuple[int, int, tuple[int, int]]:
    return band.rank, band.orientation, band.size


def sees_references(layer: TemporalLayer) -> bool:
    """Return whether contexts look at reference frames.

    A decoder has the last frame of the previous segment, but not its symbols.
    """
    return bool(layer.references[0]) and PREVIOUS_SEGMENT not in layer.references[0]


def common_inputs(layer: TemporalLayer, layout: SubbandLayout, band: Band) -> Int32Array:
    """Return the inputs of the context network that all symbols of a band share, shape (20,).

    Args:
        layer: The layer.
        layout: Subbands of the kind of plane.
        band: One of them.
    """
    references = len(layer.references[0])
    inputs = np.zeros(INPUTS, np.int32)
    inputs[12] = ONE
    inputs[14] = _DEPTH_UNIT * min(layer.depth, _MAX_DEPTH)
    inputs[15] = ONE * (references == 0)
    inputs[16] = ONE * (references == 1)
    inputs[17] = ONE * (band.orientation == 3)
    inputs[18] = _DEPTH_UNIT * (layout.scales - band.rank)
    inputs[19] = ONE * (band.orientation == 1)
    return inputs
