"""Reduction to tracks: tokens of an object that moves through cells are merged by similar codes."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import numpy.typing as npt

from nvcodec.tokens.grid import TokenGrid
from nvcodec.tokens.reduction.merging import merged_down
from nvcodec.tokens.sequence import Tokens, grouped

_SHIFTS = sorted(product((-1, 0, 1), repeat=2), key=lambda shift: abs(shift[0]) + abs(shift[1]))


def track(grid: TokenGrid, budget: int) -> Tokens:
    """Merge tokens of successive time steps in the same or neighbouring cells (after TrajViT).

    TrajViT tracks segmented objects. Here, a token is linked to the nearest code within one cell in
    the time step before, unless another token is nearer to that. The closest links are merged until
    `budget` tracks remain. If all links do not suffice, tracks are merged as by `tome`.

    Args:
        grid: Tokens of a video.
        budget: Number of tokens, less than that of the grid.
    """
    before, far = links(grid)
    linked = np.flatnonzero(before >= 0)
    total = grid.bits.size
    merged = linked[np.argsort(far[linked], kind="stable")[: total - budget]]
    root = np.arange(total)
    cells = grid.shape[1] * grid.shape[2]
    merged.sort()
    edges = np.searchsorted(merged, np.arange(grid.shape[0] + 1) * cells)
    for begin, end in pairwise(edges.tolist()):
        tokens = merged[begin:end]  # of one time step; those of earlier steps have their roots
        root[tokens] = root[before[tokens]]
    _, labels = np.unique(root, return_inverse=True)
    if total - len(merged) > budget:
        counts = np.bincount(labels)
        sums = [np.bincount(labels, channel) for channel in grid.codes.reshape(total, -1).T]
        codes = (np.stack(sums, 1) / counts[:, None]).astype(np.float32)
        labels = merged_down(codes, counts, budget)[labels]
    return grouped(grid, labels.reshape(grid.shape), "track")


def links(grid: TokenGrid) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Link each token to the most similar token near it in the time step before.

    Args:
        grid: Tokens of a video.

    Returns:
        Number of the linked token, -1 for none, and squared distance of the codes, shape (tokens,)
        each.
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
    # Of several tokens that are linked to the same one, only the nearest keeps its link.
    order = np.lexsort((far, flat))
    again = np.flatnonzero(flat[order][1:] == flat[order][:-1]) + 1
    flat[order[again]] = -1
    return flat, far
