"""Dividing things into an exact number of parts that are about equal."""

from __future__ import annotations

from math import ceil, sqrt

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]


def spread(total: int, parts: int) -> Labels:
    """A number as so many about equal summands; the larger ones lie evenly among the others."""
    edges = np.arange(parts + 1, dtype=np.int64) * total // parts
    summands: Labels = np.diff(edges)
    return summands


def windows(length: int, parts: int) -> Labels:
    """The part that each of `length` things in a row belongs to, shape (length,)."""
    labels: Labels = np.arange(length, dtype=np.int64) * parts // length
    return labels


def middles(length: int, parts: int) -> Labels:
    """The middle one of every part of `length` things in a row, shape (parts,)."""
    chosen: Labels = (2 * np.arange(parts, dtype=np.int64) + 1) * length // (2 * parts)
    return chosen


def areas(height: int, width: int, parts: int) -> Labels:
    """A picture's cells divided into nearly square areas, in bands of rows.

    Args:
        height: Rows of cells.
        width: Columns.
        parts: At most as many as there are cells.

    Returns:
        The area of each cell, shape (height, width).
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
    """A grid divided such that every cell of the picture stays apart, as long as parts suffice.

    Returns:
        The part of each token, shape (steps, height, width).
    """
    across = min(parts, height * width)
    area = areas(height, width, across)
    each = spread(parts, across)
    first = np.cumsum(each) - each
    moments = np.arange(steps, dtype=np.int64)[:, None, None]
    labels: Labels = first[area] + moments * each[area] // steps
    return labels


def time_first(steps: int, height: int, width: int, parts: int, stretches: int) -> Labels:
    """A grid divided into stretches of time, and each of them into areas.

    Args:
        steps: In time.
        height: Rows of cells.
        width: Columns.
        parts: In all.
        stretches: At most `steps` and `parts`, and enough for no area to be less than a cell.

    Returns:
        The part of each token, shape (steps, height, width).
    """
    each = spread(parts, stretches)
    plans = {count: areas(height, width, count) for count in set(each.tolist())}
    first = np.cumsum(each) - each
    within = windows(steps, stretches)
    return np.stack([first[part] + plans[int(each[part])] for part in within])


def shares(total: int, weights: npt.NDArray[np.float64], room: Labels) -> Labels:
    """A number shared out, at least one to everyone and to nobody more than there is room for.

    Args:
        total: From the number of shares to the sum of `room`.
        weights: In proportion to which it is shared, positive.
        room: The largest shares, at least 1.

    Returns:
        Shares that add up to `total`.
    """
    given = np.ones(len(room), np.int64)
    while (left := total - int(given.sum())) > 0:
        asked = np.where(given < room, weights, 0.0)
        ideal = left * asked / asked.sum()
        more = np.minimum(ideal.astype(np.int64), room - given)
        if not more.any():
            more[np.argsort(-ideal, kind="stable")[:left]] = 1
            more = np.minimum(more, room - given)
        given += more
    return given
