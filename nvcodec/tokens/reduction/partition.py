"""Partition of numbers, rows of items, pictures and grids into an exact number of equal parts."""

from __future__ import annotations

from math import ceil, sqrt

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]


def spread(total: int, parts: int) -> Labels:
    """Split a number into summands that differ by at most 1; the larger ones are spread evenly.

    Args:
        total: Number to split.
        parts: Number of summands.

    Returns:
        Summands, shape (parts,).
    """
    edges = np.arange(parts + 1, dtype=np.int64) * total // parts
    summands: Labels = np.diff(edges)
    return summands


def windows(length: int, parts: int) -> Labels:
    """Return the part of each of `length` items in a row, shape (length,)."""
    labels: Labels = np.arange(length, dtype=np.int64) * parts // length
    return labels


def middles(length: int, parts: int) -> Labels:
    """Return the middle item of each part of `length` items in a row, shape (parts,)."""
    items: Labels = (2 * np.arange(parts, dtype=np.int64) + 1) * length // (2 * parts)
    return items


def areas(height: int, width: int, parts: int) -> Labels:
    """Divide the cells of a picture into nearly square areas, in bands of rows.

    Args:
        height: Number of rows of cells.
        width: Number of columns of cells.
        parts: Number of areas, at most that of cells.

    Returns:
        Area of each cell, shape (height, width).
    """
    bands = round(sqrt(parts * height / width))
    bands = min(max(bands, ceil(parts / width), 1), height, parts)
    across = spread(parts, bands)
    band = windows(height, bands)
    first = np.cumsum(across) - across
    columns = np.arange(width, dtype=np.int64) * across[band][:, None] // width
    labels: Labels = first[band][:, None] + columns
    return labels


def space_first(steps: int, height: int, width: int, parts: int) -> Labels:
    """Divide a grid by cells first, and by time with the parts that are left.

    With fewer parts than cells, cells are divided into areas.

    Args:
        steps: Number of time steps.
        height: Number of rows of cells.
        width: Number of columns of cells.
        parts: Number of parts, at most that of tokens.

    Returns:
        Part of each token, shape (steps, height, width).
    """
    across = min(parts, height * width)
    area = areas(height, width, across)
    each = spread(parts, across)
    first = np.cumsum(each) - each
    step = np.arange(steps, dtype=np.int64)[:, None, None]
    labels: Labels = first[area] + step * each[area] // steps
    return labels


def time_first(steps: int, height: int, width: int, parts: int, stretches: int) -> Labels:
    """Divide a grid into time ranges, and each of them into areas.

    Args:
        steps: Number of time steps.
        height: Number of rows of cells.
        width: Number of columns of cells.
        parts: Number of parts, at most that of cells in `stretches` pictures.
        stretches: Number of time ranges, at most `steps` and `parts`.

    Returns:
        Part of each token, shape (steps, height, width).
    """
    each = spread(parts, stretches)
    areas_of = {count: areas(height, width, count) for count in set(each.tolist())}
    first = np.cumsum(each) - each
    stretch = windows(steps, stretches)
    return np.stack([first[part] + areas_of[int(each[part])] for part in stretch])


def shares(total: int, weights: npt.NDArray[np.float64], room: Labels) -> Labels:
    """Divide a number into shares in proportion to weights, each of at least 1 and with a limit.

    Args:
        total: Number to divide, from the number of shares to the sum of `room`.
        weights: Weights of the shares, positive, shape (N,).
        room: Upper limits of the shares, at least 1, shape (N,).

    Returns:
        Shares that add up to `total`, shape (N,).
    """
    result = np.ones(len(room), np.int64)
    while (rest := total - int(result.sum())) > 0:
        active = np.where(result < room, weights, 0.0)
        ideal = rest * active / active.sum()
        increase = np.minimum(ideal.astype(np.int64), room - result)
        if not increase.any():
            increase[np.argsort(-ideal, kind="stable")[:rest]] = 1
            increase = np.minimum(increase, room - result)
        result += increase
    return result
