"""Reduction to the tokens that change: by the difference of codes, or by bits in the file."""

from __future__ import annotations

from math import ceil

import numpy as np
import numpy.typing as npt

from nvcodec.errors import ConfigError
from nvcodec.tokens.grid import TokenGrid
from nvcodec.tokens.reduction.nearest import nearest, placed_codes
from nvcodec.tokens.reduction.partition import areas
from nvcodec.tokens.sequence import Tokens, grouped


def keydelta(grid: TokenGrid, budget: int) -> Tokens:
    """Select the first time step, then the cells that change most (key and changed tokens: EVAD, TDC).

    A selected token keeps its code and time. It also represents the following time steps of its
    cell, up to the next selected token there; `spans` gives that time. With a budget of less than
    two time steps, cells are averaged over areas, so that half of the budget is left for changes.

    Args:
        grid: Tokens of a video.
        budget: Number of tokens, less than that of the grid.
    """
    steps, height, width = grid.shape
    cells = height * width
    count = min(cells, max(budget // 2, ceil(budget / steps)))
    area = areas(height, width, count).reshape(-1)
    size = np.bincount(area)
    codes = grid.codes.reshape(steps, cells, -1)
    # Averages over areas are a product with the matrix of weights of cells in areas.
    weights = ((area == np.arange(count)[:, None]) / size[:, None]).astype(np.float32)
    pooled = codes if count == cells else weights @ codes
    change = ((pooled[1:] - pooled[:-1]) ** 2).sum(-1)
    kept = np.zeros((steps, count), np.bool_)
    kept[0] = True
    largest = np.argsort(-change.reshape(-1), kind="stable")[: budget - count]
    kept[1:].reshape(-1)[largest] = True
    last = np.maximum.accumulate(np.where(kept, np.arange(steps)[:, None], 0), 0)
    number = np.cumsum(kept).reshape(kept.shape) - 1
    labels = np.take_along_axis(number, last, 0)[:, area]
    return grouped(
        grid, labels.reshape(grid.shape), "keydelta", core=kept[:, area].reshape(grid.shape)
    )


def bits(grid: TokenGrid, budget: int) -> Tokens:
    """Select the tokens that take most bits in the file; merge each other token into the nearest.

    Expensive tokens are those that the context model predicts badly: events, and also noise. All
    tokens of the first time step of a segment are expensive, because no step precedes it. They are
    therefore ranked among themselves, for a proportional part of the budget. Time steps of one or
    two frames are taken for first ones. Distance is measured in code and position.

    Args:
        grid: Tokens that a file stores.
        budget: Number of tokens, less than that of the grid.

    Raises:
        ConfigError: If bits are unknown, because the tokens were made from pixels.
    """
    if not grid.bits.any():
        raise ConfigError(
            "tokens made from pixels take no bits by which to choose: expected those of a file "
            "that stores them; keydelta or tome need no bits"
        )
    first = np.repeat(_is_first_step(grid), grid.shape[1] * grid.shape[2])
    cost = grid.bits.reshape(-1)
    first_budget = round(budget * int(first.sum()) / len(first))
    selected = [
        _largest(cost, np.flatnonzero(first), first_budget),
        _largest(cost, np.flatnonzero(~first), budget - first_budget),
    ]
    kept = np.sort(np.concatenate(selected))
    vectors = placed_codes(grid)
    labels, _ = nearest(vectors, vectors[kept], kept)
    labels[kept] = np.arange(len(kept))
    return grouped(grid, labels.reshape(grid.shape), "bits")


def _is_first_step(grid: TokenGrid) -> npt.NDArray[np.bool_]:
    """Return which time steps are shown for at most half the median time, shape (t,)."""
    lengths = grid.ends - grid.starts
    # The limit is a little more than half, because times are rounded to ticks.
    short: npt.NDArray[np.bool_] = lengths <= 0.6 * np.median(lengths)
    return short


def _largest(
    values: npt.NDArray[np.float32], among: npt.NDArray[np.int64], count: int
) -> npt.NDArray[np.int64]:
    """Return the positions of the largest values among some positions."""
    largest: npt.NDArray[np.int64] = among[np.argsort(-values[among], kind="stable")[:count]]
    return largest
