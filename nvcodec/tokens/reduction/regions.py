"""Tokens of a part of the picture, such as an object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nvcodec.errors import ConfigError
from nvcodec.models.tokenizer.layout import SPACE_STRIDE
from nvcodec.tokens.grid import TokenGrid
from nvcodec.tokens.reduction.partition import shares, windows
from nvcodec.tokens.sequence import Tokens, grouped

Where = Sequence[float] | npt.NDArray[Any]


def region(grid: TokenGrid, where: Where, budget: int) -> Tokens:
    """A number of tokens for an object: averages over what it covers, and over time (VideoRefer).

    Args:
        grid: Tokens of T steps, H rows and W columns.
        where: A box (left, top, right, bottom) in samples of a picture of `grid.size`; or a mask of
            what counts: of the grid's cells (H, W), of every step's (T, H, W), or of all samples.
        budget: Wanted tokens. Up to T each stands for a stretch of time; with more, for a part of
            the object too.

    Returns:
        As many, or all tokens of the region if these are fewer.

    Raises:
        ConfigError: If nothing of the grid is in the region, or the budget is less than 1.
    """
    inside = covered(grid, where)
    if budget < 1:
        raise ConfigError(f"expected a budget of at least 1 token, got {budget}")
    total = int(inside.sum())
    labels = np.full(inside.shape, -1, np.int64)
    if budget >= total:
        labels[inside] = np.arange(total)
        note = "" if budget == total else f"the region has {total} tokens, {budget} were asked for"
        return grouped(grid, labels, "region", note=note)
    present = np.flatnonzero(inside.any((1, 2)))
    stretches = min(budget, len(present))
    stretch = windows(len(present), stretches)
    room = np.bincount(stretch, inside[present].sum((1, 2))).astype(np.int64)
    given = shares(budget, np.ones(stretches), room)
    first = np.cumsum(given) - given
    for number in range(stretches):
        steps = present[stretch == number]
        # By cells first, so that parts of the object stay together over time.
        cells, moments = np.nonzero(inside[steps].reshape(len(steps), -1).T)
        rows, columns = np.divmod(cells, grid.shape[2])
        parts = windows(len(cells), int(given[number]))
        labels[steps[moments], rows, columns] = first[number] + parts
    return grouped(grid, labels, "region")


def covered(grid: TokenGrid, where: Where) -> npt.NDArray[np.bool_]:
    """Which tokens a region has a part in, shape (T, H, W); see `region`.

    Raises:
        ConfigError: If it is none, or `where` is neither a box nor a mask.
    """
    steps, height, width = grid.shape
    given = np.asarray(where)
    if given.shape == (4,) and given.dtype != np.bool_:
        cells = _touched(grid, given.astype(np.float64))
    elif given.ndim == 2 and given.shape == grid.size[::-1]:
        cells = _of_samples(grid, given != 0)
    elif given.shape in ((height, width), grid.shape):
        cells = given != 0
    else:
        raise ConfigError(
            f"expected a box (left, top, right, bottom), or a mask of {height}x{width} cells, "
            f"{steps}x{height}x{width} tokens or {grid.size[1]}x{grid.size[0]} samples, got an "
            f"array of shape {given.shape}"
        )
    inside = np.broadcast_to(cells, grid.shape).copy()
    if not inside.any():
        raise ConfigError(f"the region holds no token of {height} rows and {width} columns")
    return inside


def _touched(grid: TokenGrid, box: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    left, top, right, bottom = box.tolist()
    if not (left < right and top < bottom):
        raise ConfigError(f"expected a box (left, top, right, bottom), got {tuple(box.tolist())}")
    rows = (np.arange(grid.shape[1]) + grid.cells[0]) * SPACE_STRIDE
    columns = (np.arange(grid.shape[2]) + grid.cells[1]) * SPACE_STRIDE
    down = (rows < bottom) & (rows + SPACE_STRIDE > top)
    across = (columns < right) & (columns + SPACE_STRIDE > left)
    touched: npt.NDArray[np.bool_] = down[:, None] & across
    return touched


def _of_samples(grid: TokenGrid, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Cells of which a mask of samples covers anything."""
    rows, columns = np.nonzero(mask)
    cells = np.zeros((-(-mask.shape[0] // SPACE_STRIDE), -(-mask.shape[1] // SPACE_STRIDE)), bool)
    cells[rows // SPACE_STRIDE, columns // SPACE_STRIDE] = True
    top, left = grid.cells
    return cells[top : top + grid.shape[1], left : left + grid.shape[2]]
