"""The default context networks, to which a stream codes differences. Part of the bitstream."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from nvcodec.entropy.latents.context_network import (
    HIDDEN,
    INPUTS,
    ContextNetwork,
    unflatten_weights,
)
from nvcodec.entropy.latents.default_weights import SCALES, WEIGHTS
from nvcodec.models.latentgrid.subbands import PlaneKind, SubbandLayout


@lru_cache(maxsize=64)
def default_network(kind: PlaneKind, layout: SubbandLayout) -> ContextNetwork:
    """Return the default context network of a kind of plane.

    Biases belong to bands. Wavelet scales are matched from the finest on; a layout with more of
    them repeats the biases of the coarsest details.

    Args:
        kind: Kind of plane.
        layout: Its subbands.
    """
    numbers = np.frombuffer(bytes.fromhex(WEIGHTS[kind.name]), np.int8).astype(np.int32)
    shared = INPUTS * HIDDEN + INPUTS + HIDDEN
    biases = numbers[shared:].reshape(-1, layout.channels)
    rows = [
        0
        if band.rank == 0
        else 3 * max(band.rank - layout.scales + SCALES[kind.name], 1) + band.orientation - 3
        for band in layout.bands
    ]
    chosen = np.concatenate([numbers[:shared], biases[rows].ravel()])
    return unflatten_weights(chosen, len(layout.bands), layout.channels)
