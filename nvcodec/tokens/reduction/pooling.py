"""Reduction by position alone: averages over time or space, and selection of time steps."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import numpy as np

from nvcodec.errors import ConfigError
from nvcodec.tokens.grid import TokenGrid
from nvcodec.tokens.reduction.partition import middles, space_first, time_first, windows
from nvcodec.tokens.sequence import Tokens, flatten, grouped, joined

# LITA uses 100 tokens of whole frames and 256 detailed tokens of four frames.
_FAST, _SLOW, _DETAILED = 100, 256, 4


def pool_t(grid: TokenGrid, budget: int) -> Tokens:
    """Average over time, cell by cell (STORM, temporal pooling).

    If the budget is less than the number of cells, averages are over all time and over areas of the
    picture.

    Args:
        grid: Tokens of a video.
        budget: Number of tokens, less than that of the grid.
    """
    return grouped(grid, space_first(*grid.shape, budget), "pool_t")


def pool_s(grid: TokenGrid, budget: int) -> Tokens:
    """Average over areas of the picture, time step by time step (STORM, spatial pooling).

    If the budget is less than the number of time steps, averages are over several whole pictures.

    Args:
        grid: Tokens of a video.
        budget: Number of tokens, less than that of the grid.
    """
    labels = time_first(*grid.shape, budget, min(budget, grid.shape[0]))
    return grouped(grid, labels, "pool_s")


def stride_t(grid: TokenGrid, budget: int) -> Tokens:
    """Select time steps at equal distances and drop the others (STORM, test-time sampling).

    In the last selected time step, as many cells are selected as the budget leaves, at equal
    distances.

    Args:
        grid: Tokens of a video.
        budget: Number of tokens, less than that of the grid.
    """
    cells = grid.shape[1] * grid.shape[2]
    selected = middles(grid.shape[0], ceil(budget / cells))
    labels = np.full((grid.shape[0], cells), -1, np.int64)
    whole, rest = divmod(budget, cells)
    labels[selected[:whole]] = np.arange(whole * cells).reshape(whole, cells)
    if rest:
        labels[selected[-1], middles(cells, rest)] = whole * cells + np.arange(rest)
    return grouped(grid, labels.reshape(grid.shape), "stride_t")


def slowfast(grid: TokenGrid, budget: int) -> Tokens:
    """Average every picture, then add a few pictures in detail (LITA, section 3.3).

    100 of 356 tokens are averages over whole pictures, of one or several time steps each. The others
    are areas of four time steps, or of more if these have not enough cells. Tokens in detail are
    also part of an average, so that `counts` add up to more than the tokens of the grid.

    Args:
        grid: Tokens of a video.
        budget: Number of tokens, less than that of the grid.
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
    """Concatenate the tokens of a cell at successive time steps to one longer vector (TimeSuite).

    Codes are not averaged, so that a projection can be learned of all of them.

    Args:
        grid: T time steps of H x W tokens.
        neighbours: Number of time steps to concatenate, k. The last time step is repeated to fill
            up the last token.

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
    count = ceil(steps / neighbours)
    stretch = np.arange(steps) // neighbours
    labels = stretch[:, None, None] * height * width + np.arange(height * width).reshape(
        height, width
    )
    means = grouped(grid, labels, "shuffle_merge")
    padded = grid.codes[np.minimum(np.arange(count * neighbours), steps - 1)]
    rows = padded.reshape(count, neighbours, height, width, -1).transpose(0, 2, 3, 1, 4)
    return replace(means, codes=rows.reshape(count * height * width, -1))
