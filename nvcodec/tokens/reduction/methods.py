"""Table of the reduction methods, and reduction to an exact number of tokens by name."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite

import numpy as np

from nvcodec.errors import ConfigError
from nvcodec.tokens.grid import TokenGrid
from nvcodec.tokens.reduction.keyframe_delta import bits, keydelta
from nvcodec.tokens.reduction.merging import slots, tome
from nvcodec.tokens.reduction.pooling import pool_s, pool_t, slowfast, stride_t
from nvcodec.tokens.reduction.shots import cubes, scenes
from nvcodec.tokens.reduction.tracks import track
from nvcodec.tokens.sequence import Tokens, flatten

METHODS: dict[str, Callable[[TokenGrid, int], Tokens]] = {
    "bits": bits,
    "cubes": cubes,
    "keydelta": keydelta,
    "pool_s": pool_s,
    "pool_t": pool_t,
    "scenes": scenes,
    "slots": slots,
    "slowfast": slowfast,
    "stride_t": stride_t,
    "tome": tome,
    "track": track,
}
"""Methods by name: functions of a grid and a number of tokens from 1 to less than it has."""


def reduce(grid: TokenGrid, method: str, budget: int) -> Tokens:
    """Reduce a grid to an exact number of tokens.

    The result is deterministic. For all methods but `stride_t` and `slowfast`, every token of the
    grid is represented once, so that `counts` add up to their number.

    Args:
        grid: Tokens of a video or of a part of it.
        method: Name of the method, one of `METHODS`.
        budget: Number of tokens, at least 1.

    Returns:
        `budget` tokens. If the grid has fewer, all of them, with a `note`.

    Raises:
        ConfigError: If there is no such method, the budget is less than 1, or the method needs bits
            that the grid does not have.
    """
    if method not in METHODS:
        raise ConfigError(f"expected one of {', '.join(METHODS)}, got {method!r}")
    if budget < 1:
        raise ConfigError(f"expected a budget of at least 1 token, got {budget}")
    total = grid.bits.size
    if budget < total:
        return METHODS[method](grid, budget)
    note = f"there are {total} tokens, {budget} were asked for: these are all"
    return flatten(grid, note if budget > total else "")


def at_rate(grid: TokenGrid, rate: float) -> TokenGrid:
    """Reduce the rate of time steps: keep the first that starts in each of equal intervals.

    Args:
        grid: Tokens of a video.
        rate: Largest number of time steps per second, positive.

    Raises:
        ConfigError: If the rate is not positive.
    """
    if not (isfinite(rate) and rate > 0):
        raise ConfigError(f"expected a positive number of time steps per second, got {rate:g}")
    if not grid.shape[0]:
        return grid
    # Times are rounded, so that a time step on a boundary may lie just before it.
    interval = np.floor((grid.starts - grid.starts[0]) * rate + 1e-6)
    return grid.at(np.unique(interval, return_index=True)[1])
