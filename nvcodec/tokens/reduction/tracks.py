"""One token for what moves through several cells: tracks by the likeness of their codes."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import numpy.typing as npt

from nvcodec.tokens.grid import TokenGrid
from nvcodec.tokens.reduction.merging import merged_down
from nvcodec.tokens.sequence import Tokens, grouped

_SHIFTS = sorted(product((-1, 0, 1), repeat=2), key=lambda shift: abs(shift[0]) + abs(shift[1]))


def track(grid: TokenGrid, budget: int) -> Tokens:
    """Tokens of successive steps in the same or a neighbouring cell become one (after TrajViT).

    TrajViT tracks segmented objects. Here a token is linked to the nearest code of the step before
    within one cell, unless another is nearer to that; the closest links are made until as many
    tracks as wanted remain. Where all links do not suffice, tracks are joined as `tome` does.
    """
    before, far = links(grid)
    linked = np.flatnonzero(before >= 0)
    total = grid.bits.size
    made = linked[np.argsort(far[linked], kind="stable")[: total - budget]]
    root = np.arange(total)
    cells = grid.shape[1] * grid.shape[2]
    made.sort()
    edges = np.searchsorted(made, np.arange(grid.shape[0] + 1) * cells)
    for begin, end in pairwise(edges.tolist()):
        now = made[begin:end]  # of one step, so that what comes before is final
        root[now] = root[before[now]]
    _, labels = np.unique(root, return_inverse=True)
    if total - len(made) > budget:
        counts = np.bincount(labels)
        sums = [np.bincount(labels, channel) for channel in grid.codes.reshape(total, -1).T]
        codes = (np.stack(sums, 1) / counts[:, None]).astype(np.float32)
        labels = merged_down(codes, counts, budget)[labels]
    return grouped(grid, labels.reshape(grid.shape), "track")


def links(grid: TokenGrid) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """The token of the step before that each goes on with.

    Returns:
        Numbers of tokens, -1 for none, and squared distances of codes; shape (tokens,).
    """
    steps, height, width = grid.shape
    codes = grid.codes
    padded = np.pad(codes, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=np.inf)
    number = np.arange(grid.bits.size).reshape(grid.shape)
    numbers = np.pad(number, ((0, 0), (1, 1), (1, 1)))
    nearest = np.full(grid.shape, np.inf, np.float32)
    before = np.full(grid.shape, -1, np.int64)
    for down, right in _SHIFTS:
        where = (slice(0, steps - 1), slice(1 + down, 1 + down + height),
                 slice(1 + right, 1 + right + width))  # fmt: skip
        far = ((codes[1:] - padded[where]) ** 2).sum(-1)
        closer = far < nearest[1:]
        nearest[1:][closer] = far[closer]
        before[1:][closer] = numbers[where][closer]
    flat, far = before.reshape(-1), nearest.reshape(-1)
    # Of several tokens that go on with the same one the nearest does.
    order = np.lexsort((far, flat))
    again = np.flatnonzero(flat[order][1:] == flat[order][:-1]) + 1
    flat[order[again]] = -1
    return flat, far
