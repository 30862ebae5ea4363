"""Tokens that say something new are kept, the others counted with those they resemble."""

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
    """The whole first step, then the cells that change most (EVAD, TDC: key and changed tokens).

    A token stays what it is in the file, at its own time, and also counts for the steps after it
    up to the next one of its cell; `spans` tell how far that is. With a budget of less than two
    steps, cells are averaged over areas, so that half of it is left for changes.
    """
    steps, height, width = grid.shape
    cells = height * width
    count = min(cells, max(budget // 2, ceil(budget / steps)))
    area = areas(height, width, count).reshape(-1)
    size = np.bincount(area)
    codes = grid.codes.reshape(steps, cells, -1)
    # Averages over areas as a product with a table of what belongs to which.
    table = ((area == np.arange(count)[:, None]) / size[:, None]).astype(np.float32)
    pooled = codes if count == cells else table @ codes
    change = ((pooled[1:] - pooled[:-1]) ** 2).sum(-1)
    kept = np.zeros((steps, count), np.bool_)
    kept[0] = True
    most = np.argsort(-change.reshape(-1), kind="stable")[: budget - count]
    kept[1:].reshape(-1)[most] = True
    last = np.maximum.accumulate(np.where(kept, np.arange(steps)[:, None], 0), 0)
    number = np.cumsum(kept).reshape(kept.shape) - 1
    labels = np.take_along_axis(number, last, 0)[:, area]
    return grouped(
        grid, labels.reshape(grid.shape), "keydelta", core=kept[:, area].reshape(grid.shape)
    )


def bits(grid: TokenGrid, budget: int) -> Tokens:
    """The tokens that take most bits in the file; the others join the nearest of these.

    What is expensive could not be foretold from what is around it and before it: events, and also
    noise. The first step of a segment has nothing before it and is expensive throughout, so that
    its tokens are ranked among themselves, for their part of the budget. Steps of one or two frames
    are taken for first ones, whatever they are. Nearest is meant in code and in place.

    Raises:
        ConfigError: If nothing is known of bits, since the tokens were made from pixels.
    """
    if not grid.bits.any():
        raise ConfigError(
            "tokens made from pixels take no bits by which to choose: expected those of a file "
            "that stores them; keydelta or tome need no bits"
        )
    first = np.repeat(_begins(grid), grid.shape[1] * grid.shape[2])
    cost = grid.bits.reshape(-1)
    apart = round(budget * int(first.sum()) / len(first))
    chosen = [
        _largest(cost, np.flatnonzero(first), apart),
        _largest(cost, np.flatnonzero(~first), budget - apart),
    ]
    kept = np.sort(np.concatenate(chosen))
    placed = placed_codes(grid)
    labels, _ = nearest(placed, placed[kept], kept)
    labels[kept] = np.arange(len(kept))
    return grouped(grid, labels.reshape(grid.shape), "bits")


def _begins(grid: TokenGrid) -> npt.NDArray[np.bool_]:
    """Steps that are shown for at most half the usual time, shape (t,)."""
    lengths = grid.ends - grid.starts
    # A little more than half, since times are rounded to ticks.
    short: npt.NDArray[np.bool_] = lengths <= 0.6 * np.median(lengths)
    return short


def _largest(
    values: npt.NDArray[np.float32], among: npt.NDArray[np.int64], count: int
) -> npt.NDArray[np.int64]:
    found: npt.NDArray[np.int64] = among[np.argsort(-values[among], kind="stable")[:count]]
    return found
