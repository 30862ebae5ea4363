"""The plain torch backend of grids: the reference of the other backends, and the one of CPUs.

The features of a point in a level are a weighted sum of 2**d entries. `embedding_bag` computes it
in one pass over the points. Its own gradient sorts the indices, which takes ten times as long as
adding up; the gradient is therefore computed here.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from nvcodec.cuda.grid_layout import PRIMES


def encode(x: Tensor, tables: Sequence[Tensor], resolutions: Sequence[tuple[int, ...]]) -> Tensor:
    """Interpolate the features of points in all levels.

    Args:
        x: Points, shape (N, axes), float32 in [0, 1].
        tables: Entries of each level, shape (entries, features), float32.
        resolutions: Vertices along each axis of each level.

    Returns:
        Shape (N, levels * features), float32.
    """
    return torch.cat(
        [
            weighted_sum(*corners(x, resolution, len(table)), table)
            for table, resolution in zip(tables, resolutions, strict=True)
        ],
        dim=1,
    )


def corners(x: Tensor, resolution: tuple[int, ...], entries: int) -> tuple[Tensor, Tensor]:
    """Return the indices and the weights of the entries around points.

    Args:
        x: Points, shape (N, axes), float32 in [0, 1].
        resolution: Vertices along each axis.
        entries: Number of entries of the table; fewer than there are vertices if they are hashed.

    Returns:
        Indices, int32, and weights, float32, both of shape (N, 2**d), where d is the number of axes
        with more than one vertex.
    """
    # Points are the last axis until the end, so that operations run over long rows.
    index = torch.zeros(1, len(x), dtype=torch.int32, device=x.device)
    weight = x.new_ones(1, len(x))
    hashed = entries < prod(resolution)
    stride = 1
    for values, count, prime in zip(x.T.contiguous(), resolution, PRIMES, strict=False):
        if count == 1:
            continue
        position = values * (count - 1)
        cell = position.detach().floor().clamp_(max=count - 2)
        above = position - cell
        weight = (weight * torch.stack([1 - above, above])[:, None]).flatten(0, 1)
        if hashed:
            # Hashed tables have 2**n entries, so that only the lower bits of the product count.
            first = cell.long() * prime
            part = (torch.stack([first, first + prime]) & entries - 1).int()
            index = (index ^ part[:, None]).flatten(0, 1)
        else:
            first = cell.int() * stride
            index = (index + torch.stack([first, first + stride])[:, None]).flatten(0, 1)
        stride *= count
    return index.T.contiguous(), weight.T.contiguous()


def weighted_sum(index: Tensor, weight: Tensor, table: Tensor) -> Tensor:
    """Compute weighted sums of entries.

    Args:
        index: Indices of entries, shape (N, corners), int32.
        weight: Weights of these entries, shape (N, corners), float32.
        table: Entries, shape (entries, features), float32.

    Returns:
        Shape (N, features), float32.
    """
    sums: Tensor = _WeightedSum.apply(index, weight, table)  # type: ignore[no-untyped-call]
    return sums


class _WeightedSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, index: Tensor, weight: Tensor, table: Tensor) -> Tensor:
        ctx.save_for_backward(index, weight, table)
        return F.embedding_bag(index, table, per_sample_weights=weight, mode="sum")

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor | None, Tensor | None]:
        index, weight, table = ctx.saved_tensors
        weight_gradient = table_gradient = None
        if ctx.needs_input_grad[1]:
            weight_gradient = torch.einsum("ncf,nf->nc", table[index], gradient)
        if ctx.needs_input_grad[2]:
            flat = index.flatten()
            # Feature by feature, because adding single numbers is twice as fast as adding rows.
            columns = [
                table.new_zeros(len(table)).index_add_(0, flat, (weight * column).flatten())
                for column in gradient.T[:, :, None]
            ]
            table_gradient = torch.stack(columns, dim=1)
        return None, weight_gradient, table_gradient
