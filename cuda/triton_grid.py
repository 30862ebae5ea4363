"""The grid by our Triton kernels, level by level; these are in `triton_grid_kernels.py`."""

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
    """Why these levels are not for the kernels, or None; see `encode`."""
    if any(table.dtype != torch.float32 for table in tables):
        return f"it reads tables of float32, not {tables[0].dtype}"
    return None


def encode(x: Tensor, tables: Sequence[Tensor], resolutions: Sequence[tuple[int, ...]]) -> Tensor:
    """Look points up in all levels; see `torch_grid.encode`."""
    made: Tensor = _Grid.apply(x, resolutions, *tables)  # type: ignore[no-untyped-call]
    return made


class _Grid(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, resolutions: Sequence[tuple[int, ...]], *tables: Tensor
    ) -> Tensor:
        x = x.contiguous()
        tables = tuple(table.contiguous() for table in tables)
        features = tables[0].shape[1]
        made = x.new_empty(len(x), len(tables) * features)
        levels = enumerate(zip(tables, resolutions, strict=True))
        with torch.cuda.device_of(x):  # type: ignore[no-untyped-call]
            for level, (table, resolution) in levels:
                kernels.forward[(triton.cdiv(len(x), _ROWS),)](
                    x,
                    table,
                    made,
                    len(x),
                    level,
                    len(tables),
                    *_level(table, resolution),
                    enable_fp_fusion=True,  # the default; not to say so gives a warning
                )
        ctx.save_for_backward(x, *tables)
        ctx.resolutions = resolutions
        return made

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, ...]:
        x, *tables = ctx.saved_tensors
        above = above.contiguous()
        of_x = torch.zeros_like(x) if ctx.needs_input_grad[0] else None
        of_tables = [torch.zeros_like(table) for table in tables]
        levels = enumerate(zip(tables, of_tables, ctx.resolutions, strict=True))
        for level, (table, of_table, resolution) in levels:
            kernels.backward[(triton.cdiv(len(x), _ROWS),)](
                x,
                table,
                above,
                x if of_x is None else of_x,
                of_table,
                len(x),
                level,
                len(tables),
                *_level(table, resolution),
                WANTS_X=of_x is not None,
                enable_fp_fusion=True,
            )
        return of_x, None, *of_tables


def _level(table: Tensor, resolution: tuple[int, ...]) -> tuple[object, ...]:
    """A level as the kernels take it: vertices, entries, and what they are compiled for."""
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
