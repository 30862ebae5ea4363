"""The grid in plain torch: what the other backends must agree with, and what CPUs run.

A level is a weighted sum of 2**d entries. `embedding_bag` forms it in one pass over the points; its
own gradient sorts the indices, which costs ten times what adding up does, so that is done here.
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
    """Look points up in all levels.

    Args:
        x: Shape (N, axes), float32 in [0, 1].
        tables: One per level, shape (entries, features), float32.
        resolutions: One per level, vertices along each axis.

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
    """The entries around points, and what each counts.

    Args:
        x: Shape (N, axes), float32 in [0, 1].
        resolution: Vertices along each axis.
        entries: Of the table; fewer than there are vertices if they are hashed.

    Returns:
        Indices, int32, and weights, float32, both of shape (N, 2**d): d axes have two vertices.
    """
    # Points along the last axis until the end: what is done to them is then done to long rows.
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
            # Tables of a power of two: the product's lower bits are all that counts.
            first = cell.long() * prime
            part = (torch.stack([first, first + prime]) & entries - 1).int()
            index = (index ^ part[:, None]).flatten(0, 1)
        else:
            first = cell.int() * stride
            index = (index + torch.stack([first, first + stride])[:, None]).flatten(0, 1)
        stride *= count
    return index.T.contiguous(), weight.T.contiguous()


def weighted_sum(index: Tensor, weight: Tensor, table: Tensor) -> Tensor:
    """Sums of weighted entries.

    Args:
        index: Shape (N, corners), int32.
        weight: Shape (N, corners), float32.
        table: Shape (entries, features), float32.

    Returns:
        Shape (N, features), float32.
    """
    made: Tensor = _WeightedSum.apply(index, weight, table)  # type: ignore[no-untyped-call]
    return made


class _WeightedSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, index: Tensor, weight: Tensor, table: Tensor) -> Tensor:
        ctx.save_for_backward(index, weight, table)
        return F.embedding_bag(index, table, per_sample_weights=weight, mode="sum")

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor | None, Tensor | None]:
        index, weight, table = ctx.saved_tensors
        of_weight = of_table = None
        if ctx.needs_input_grad[1]:
            of_weight = torch.einsum("ncf,nf->nc", table[index], gradient)
        if ctx.needs_input_grad[2]:
            flat = index.flatten()
            # Feature by feature: adding single numbers is twice as fast as adding short rows.
            columns = [
                table.new_zeros(len(table)).index_add_(0, flat, (weight * column).flatten())
                for column in gradient.T[:, :, None]
            ]
            of_table = torch.stack(columns, dim=1)
        return None, of_weight, of_table
