"""The interpolation of a dense level at the points of a lattice, axis by axis.

Interpolation along an axis is one small matrix product, so that a level takes three of them. Point
by point, it would take eight entries for every point.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def interpolate(table: Tensor, positions: Sequence[Tensor]) -> Tensor:
    """Interpolate a dense level at the points of a lattice.

    Args:
        table: Entries of the level, shape (n_t, n_y, n_x, features), float32.
        positions: Coordinates along t, y and x, each of shape (count,), float32 in [0, 1].

    Returns:
        Shape (T, Y, X, features), float32.
    """
    t, y, x = (
        linear_weights(position, count)
        for position, count in zip(positions, table.shape, strict=False)
    )
    rows, columns, features = table.shape[1:]
    level = (t @ table.flatten(1)).view(len(t), rows, columns * features)
    level = (y @ level).view(len(t), len(y), columns, features)
    return x @ level


def linear_weights(positions: Tensor, count: int) -> Tensor:
    """Return the weight of every vertex of an axis in linear interpolation.

    Args:
        positions: Coordinates along the axis, shape (N,), float32 in [0, 1].
        count: Number of vertices along the axis.

    Returns:
        Shape (N, count). A row has at most two weights that are not zero, and the sum 1.
    """
    vertices = torch.arange(count, device=positions.device)
    return (1 - (positions[:, None] * (count - 1) - vertices).abs()).clamp_min(0)
