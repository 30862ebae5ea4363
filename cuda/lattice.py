"""Looking up the points of a lattice: where rows, columns and moments are the same for all.

Interpolation along one axis is then one small matrix product, and a level three of them, instead of
eight entries for every point.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def interpolate(table: Tensor, places: Sequence[Tensor]) -> Tensor:
    """Look up a dense level.

    Args:
        table: Shape (n_t, n_y, n_x, features), float32.
        places: Along t, y and x, each of shape (count,), float32 in [0, 1].

    Returns:
        Shape (T, Y, X, features), float32.
    """
    t, y, x = (hats(place, count) for place, count in zip(places, table.shape, strict=False))
    rows, columns, features = table.shape[1:]
    made = (t @ table.flatten(1)).view(len(t), rows, columns * features)
    made = (y @ made).view(len(t), len(y), columns, features)
    return x @ made


def hats(places: Tensor, count: int) -> Tensor:
    """What every vertex of an axis counts at some places.

    Args:
        places: Shape (N,), float32 in [0, 1].
        count: Vertices.

    Returns:
        Shape (N, count): rows of at most two numbers other than zero, which add up to one.
    """
    vertices = torch.arange(count, device=places.device)
    return (1 - (places[:, None] * (count - 1) - vertices).abs()).clamp_min(0)
