"""Reduction to the tokens of a region of the picture, such as an object."""

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
    """Reduce the tokens of a region to averages over time and over parts of it (VideoRefer).

    Args:
        grid: Tokens of T time steps, H rows and W columns.
        where: Box (left, top, right, bottom) in samples of a picture of `grid.size`; or mask of the
            cells of the grid, shape (H, W), of its tokens, shape (T, H, W), or of the samples.
        budget: Number of tokens, at least 1. Up to T tokens each represent a time range; with more,
            also a part of the region.

    Returns:
        `budget` tokens. If the region has fewer, all of them, with a `note`.

    Raises:
        ConfigError: If no token is in the region, or the budget is less than 1.
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
    counts = shares(budget, np.ones(stretches), room)
    first = np.cumsum(counts) - counts
    for number in range(stretches):
        steps = present[stretch == number]
        # Tokens are sorted by cells first, so that parts of an object stay together over time.
        cells, step = np.nonzero(inside[steps].reshape(len(steps), -1).T)
        rows, columns = np.divmod(cells, grid.shape[2])
        parts = windows(len(cells), int(counts[number]))
        labels[steps[step], rows, columns] = first[number] + parts
    return grouped(grid, labels, "region")


def covered(grid: TokenGrid, where: Where) -> npt.NDArray[np.bool_]:
    """Return which tokens a region covers, at least in part.

    Args:
        grid: Tokens of T time steps, H rows and W columns.
        where: Box or mask, as for `region`.

    Returns:
        bool, shape (T, H, W).

    Raises:
        ConfigError: If no token is in the region, or `where` is neither a box nor a mask.
    """
    steps, height, width = grid.shape
    array = np.asarray(where)
    if array.shape == (4,) and array.dtype != np.bool_:
        cells = _cells_of_box(grid, array.astype(np.float64))
    elif array.ndim == 2 and array.shape == grid.size[::-1]:
        cells = _cells_of_samples(grid, array != 0)
    elif array.shape in ((height, width), grid.shape):
        cells = array != 0
    else:
        raise ConfigError(
            f"expected a box (left, top, right, bottom), or a mask of {height}x{width} cells, "
            f"{steps}x{height}x{width} tokens or {grid.size[1]}x{grid.size[0]} samples, got an "
            f"array of shape {array.shape}"
        )
    inside = np.broadcast_to(cells, grid.shape).copy()
    if not inside.any():
        raise ConfigError(f"the region holds no token of {height} rows and {width} columns")
    return inside


def _cells_of_box(grid: TokenGrid, box: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Return which cells of the grid a box covers, at least in part, shape (H, W)."""
    left, top, right, bottom = box.tolist()
    if not (left < right and top < bottom):
        raise ConfigError(f"expected a box (left, top, right, bottom), got {tuple(box.tolist())}")
    rows = (np.arange(grid.shape[1]) + grid.cells[0]) * SPACE_STRIDE
    columns = (np.arange(grid.shape[2]) + grid.cells[1]) * SPACE_STRIDE
    down = (rows < bottom) & (rows + SPACE_STRIDE > top)
    across = (columns < right) & (columns + SPACE_STRIDE > left)
    cells: npt.NDArray[np.bool_] = down[:, None] & across
    return cells


def _cells_of_samples(grid: TokenGrid, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return which cells of the grid a mask of samples covers, at least in part, shape (H, W)."""
    rows, columns = np.nonzero(mask)
    cells = np.zeros((-(-mask.shape[0] // SPACE_STRIDE), -(-mask.shape[1] // SPACE_STRIDE)), bool)
    cells[rows // SPACE_STRIDE, columns // SPACE_STRIDE] = True
    top, left = grid.cells
    return cells[top : top + grid.shape[1], left : left + grid.shape[2]]
