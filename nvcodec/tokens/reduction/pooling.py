"""Fewer tokens without looking at them: averages over time or space, every so many steps."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import numpy as np

from nvcodec.errors import ConfigError
from nvcodec.tokens.grid import TokenGrid
from nvcodec.tokens.reduction.partition import middles, space_first, time_first, windows
from nvcodec.tokens.sequence import Tokens, flatten, grouped, joined

# LITA has 100 tokens of whole frames and 256 of four frames in detail.
_FAST, _SLOW, _DETAILED = 100, 256, 4


def pool_t(grid: TokenGrid, budget: int) -> Tokens:
    """Averages over time, cell by cell (STORM, temporal pooling).

    Where there are fewer tokens than cells all of time is averaged, over areas of the picture.
    """
    return grouped(grid, space_first(*grid.shape, budget), "pool_t")


def pool_s(grid: TokenGrid, budget: int) -> Tokens:
    """Averages over areas of the picture, step by step (STORM, spatial pooling).

    Where there are fewer tokens than steps each is the average of several whole pictures.
    """
    labels = time_first(*grid.shape, budget, min(budget, grid.shape[0]))
    return grouped(grid, labels, "pool_s")


def stride_t(grid: TokenGrid, budget: int) -> Tokens:
    """Steps at equal distances, the others left out (STORM, test-time sampling).

    Of the last of these steps as many cells as remain, at equal distances.
    """
    cells = grid.shape[1] * grid.shape[2]
    chosen = middles(grid.shape[0], ceil(budget / cells))
    labels = np.full((grid.shape[0], cells), -1, np.int64)
    whole, rest = divmod(budget, cells)
    labels[chosen[:whole]] = np.arange(whole * cells).reshape(whole, cells)
    if rest:
        labels[chosen[-1], middles(cells, rest)] = whole * cells + np.arange(rest)
    return grouped(grid, labels.reshape(grid.shape), "stride_t")


def slowfast(grid: TokenGrid, budget: int) -> Tokens:
    """An average of every picture, then a few pictures in detail (LITA, section 3.3).

    100 of 356 tokens are averages over whole pictures, one a step or several steps each; the
    others are areas of four steps, of more where these have not enough cells. What is seen in
    detail is also in an average, so that counts add up to more than the grid's tokens.
    """
    steps, height, width = grid.shape
    fast = min(steps, max(1, round(budget * _FAST / (_FAST + _SLOW))))
    labels = np.broadcast_to(windows(steps, fast)[:, None, None], grid.shape)
    overview = grouped(grid, labels, "slowfast")
    slow = budget - fast
    if not slow:
        return overview
    detailed = max(min(_DETAILED, slow, steps), ceil(slow / (height * width)))
    labels = np.full(grid.shape, -1, np.int64)
    labels[middles(steps, detailed)] = time_first(detailed, height, width, slow, detailed)
    return joined([overview, grouped(grid, labels, "slowfast")])


def shuffle_merge(grid: TokenGrid, neighbours: int) -> Tokens:
    """Tokens of one cell at successive steps side by side in one longer vector (TimeSuite).

    Nothing is averaged, so that a projection can be learned of all of it.

    Args:
        grid: T steps of H x W tokens.
        neighbours: k, how many are joined; the last step is repeated where some are missing.

    Returns:
        ceil(T / k) H W tokens with codes of 6 k channels. Their ids are those of the averages.

    Raises:
        ConfigError: If k is less than 1.
    """
    if neighbours < 1:
        raise ConfigError(f"expected at least 1 neighbour to join, got {neighbours}")
    if neighbours == 1:
        return flatten(grid)
    steps, height, width = grid.shape
    made = ceil(steps / neighbours)
    stretch = np.arange(steps) // neighbours
    labels = stretch[:, None, None] * height * width + np.arange(height * width).reshape(
        height, width
    )
    means = grouped(grid, labels, "shuffle_merge")
    padded = grid.codes[np.minimum(np.arange(made * neighbours), steps - 1)]
    rows = padded.reshape(made, neighbours, height, width, -1).transpose(0, 2, 3, 1, 4)
    return replace(means, codes=rows.reshape(made * height * width, -1))
