"""The context networks that a stream's own are differences to. Part of the bitstream."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from nvcodec.entropy.contexts import HIDDEN, INPUTS, ContextNetwork, network_of
from nvcodec.entropy.walk import Kind
from nvcodec.models.bands import GridLayout


@lru_cache(maxsize=64)
def default_network(kind: Kind, layout: GridLayout) -> ContextNetwork:
    """The default context network of a kind of grid.

    Args:
        kind: Kind of grid.
        layout: Its bands.
    """
    bands = len(layout.bands)
    rng = np.random.default_rng(0)
    count = INPUTS * HIDDEN + INPUTS + HIDDEN
    numbers = np.zeros(count + bands * layout.channels, np.int32)
    numbers[:count] = rng.integers(-6, 7, count)
    numbers[-bands * layout.channels:] = 4
    return network_of(numbers, bands, layout.channels)
