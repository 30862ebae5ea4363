"""The Triton backend of grids, which launches `triton_grid_kernels` level by level."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
import triton
from torch import Tensor
from torch.autograd.function import once_differentiable

from nvcodec.cuda import triton_grid_kernels as kernels

_ROWS = 128


def refusal(tables: Sequence[Tensor], resolutions: Sequence[tuple[int, ...]]) -> str | None:
    """Return the reason why the kernels cannot compute these levels, or None.

    Args:
        tables: Entries of each level, shape (entries, features).
        resolutions: Vertices along each axis of each level.
    """
    if any(table.dtype != torch.float32 for table in tables):
        return f"it reads tables of float32, not {tables[0].dtype}"
    return None


def encode(x: Tensor, tables: Sequence[Tensor], resolutions: Sequence[tuple[int, ...]]) -> Tensor:
    """Interpolate the features of points in all levels.

    Args:
        x: Points, shape (N, axes), float32 in [0, 1].
        tables: Entries of each level, shape (entries, features), float32.
        resolutions: Vertices along each axis of each level.

    Returns:
        Shape (N, levels * features), float32.
    """
    encoded: Tensor = _Grid.apply(x, resolutions, *tables)  # type: ignore[no-untyped-call]
    return encoded


class _Grid(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, resolutions: Sequence[tuple[int, ...]], *tables: Tensor
    ) -> Tensor:
        x = x.contiguous()
        tables = tuple(table.contiguous() for table in tables)
        features = tables[0].shape[1]
        out = x.new_empty(len(x), len(tables) * features)
        levels = enumerate(zip(tables, resolutions, strict=True))
        with torch.cuda.device_of(x):  # type: ignore[no-untyped-call]
            for level, (table, resolution) in levels:
                kernels.forward[(triton.cdiv(len(x), _ROWS),)](
                    x,
                    table,
                    out,
                    len(x),
                    level,
                    len(tables),
                    *_level(table, resolution),
                    enable_fp_fusion=True,  # the default, but Triton warns if it is not given
                )
        ctx.save_for_backward(x, *tables)
        ctx.resolutions = resolutions
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, out_grad: Tensor) -> tuple[Tensor | None, ...]:
        x, *tables = ctx.saved_tensors
        out_grad = out_grad.contiguous()
        x_grad = torch.zeros_like(x) if ctx.needs_input_grad[0] else None
        table_grads = [torch.zeros_like(table) for table in tables]
        levels = enumerate(zip(tables, table_grads, ctx.resolutions, strict=True))
        for level, (table, table_grad, resolution) in levels:
            kernels.backward[(triton.cdiv(len(x), _ROWS),)](
                x,
                table,
                out_grad,
                x if x_grad is None else x_grad,
                table_grad,
                len(x),
                level,
                len(tables),
                *_level(table, resolution),
                WANTS_X=x_grad is not None,
                enable_fp_fusion=True,
            )
        return x_grad, None, *table_grads


def _level(table: Tensor, resolution: tuple[int, ...]) -> tuple[object, ...]:
    """Return the kernels' arguments of a level: vertices, entries and compile-time constants."""
    entries, features = table.shape
    return (
        *(*resolution, 1)[:3],
        entries,
        len(resolution),
        features,
        triton.next_power_of_2(features),
        entries < prod(resolution),
        _ROWS,
    )
