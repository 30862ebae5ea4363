"""The grid as two Triton kernels, launched level by level; gradients of entries are added atomically.

Two axes are three of which the last has one vertex.
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

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
        with torch.cuda.device_of(x):
            for level, (table, resolution) in levels if len(x) else ():
                _forward[(triton.cdiv(len(x), _ROWS),)](
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
        for level, (table, of_table, resolution) in levels if len(x) else ():
            _backward[(triton.cdiv(len(x), _ROWS),)](
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


@triton.jit
def _along(x, rows, there, count, AXIS: tl.constexpr, AXES: tl.constexpr):
    """The cell of points along an axis, and how far into it they are."""
    if AXIS < AXES:
        position = tl.load(x + rows * AXES + AXIS, there, other=0.0) * (count - 1)
    else:
        position = tl.zeros(rows.shape, tl.float32)
    cell = tl.minimum(tl.floor(position).to(tl.int32), tl.maximum(count - 2, 0))
    return cell, position - cell.to(tl.float32)


@triton.jit
def _side(cell, above, count, UP: tl.constexpr):
    """The vertex on one side of a cell, its weight, and what that changes by along the axis."""
    if UP:
        vertex = tl.minimum(cell + 1, count - 1)
        weight = above
        slope = count - 1
    else:
        vertex = cell
        weight = 1.0 - above
        slope = 1 - count
    return vertex, weight, slope


@triton.jit
def _entry(i, j, k, nx, ny, entries, HASHED: tl.constexpr):
    if HASHED:
        mixed = i.to(tl.uint32) ^ (j.to(tl.uint32) * 2654435761) ^ (k.to(tl.uint32) * 805459861)
        entry = (mixed & (entries - 1).to(tl.uint32)).to(tl.int32)
    else:
        entry = i + nx * (j + ny * k)
    return entry


@triton.jit(do_not_specialize=["count", "level", "nx", "ny", "nt", "entries"])
def _forward(
    x,
    table,
    made,
    count,
    level,
    levels,
    nx,
    ny,
    nt,
    entries,
    AXES: tl.constexpr,
    FEATURES: tl.constexpr,
    BLOCK: tl.constexpr,
    HASHED: tl.constexpr,
    ROWS: tl.constexpr,
):
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    there = rows < count
    columns = tl.arange(0, BLOCK)[None, :]
    whole = there[:, None] & (columns < FEATURES)
    x_cell, x_above = _along(x, rows, there, nx, 0, AXES)
    y_cell, y_above = _along(x, rows, there, ny, 1, AXES)
    t_cell, t_above = _along(x, rows, there, nt, 2, AXES)
    total = tl.zeros((ROWS, BLOCK), tl.float32)
    for corner in tl.static_range(1 << AXES):
        i, x_weight, _ = _side(x_cell, x_above, nx, corner & 1)
        j, y_weight, _ = _side(y_cell, y_above, ny, corner >> 1 & 1)
        k, t_weight, _ = _side(t_cell, t_above, nt, corner >> 2)
        entry = _entry(i, j, k, nx, ny, entries, HASHED)
        values = tl.load(table + entry[:, None] * FEATURES + columns, whole, other=0.0)
        total += (x_weight * y_weight * t_weight)[:, None] * values
    where = made + (rows[:, None] * levels + level) * FEATURES + columns
    tl.store(where, total, whole)


@triton.jit(do_not_specialize=["count", "level", "nx", "ny", "nt", "entries"])
def _backward(
    x,
    table,
    above,
    of_x,
    of_table,
    count,
    level,
    levels,
    nx,
    ny,
    nt,
    entries,
    AXES: tl.constexpr,
    FEATURES: tl.constexpr,
    BLOCK: tl.constexpr,
    HASHED: tl.constexpr,
    ROWS: tl.constexpr,
    WANTS_X: tl.constexpr,
):
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    there = rows < count
    columns = tl.arange(0, BLOCK)[None, :]
    whole = there[:, None] & (columns < FEATURES)
    x_cell, x_above = _along(x, rows, there, nx, 0, AXES)
    y_cell, y_above = _along(x, rows, there, ny, 1, AXES)
    t_cell, t_above = _along(x, rows, there, nt, 2, AXES)
    where = above + (rows[:, None] * levels + level) * FEATURES + columns
    g = tl.load(where, whole, other=0.0)
    along_x = tl.zeros((ROWS,), tl.float32)
    along_y = tl.zeros((ROWS,), tl.float32)
    along_t = tl.zeros((ROWS,), tl.float32)
    for corner in tl.static_range(1 << AXES):
        i, x_weight, x_slope = _side(x_cell, x_above, nx, corner & 1)
        j, y_weight, y_slope = _side(y_cell, y_above, ny, corner >> 1 & 1)
        k, t_weight, t_slope = _side(t_cell, t_above, nt, corner >> 2)
        place = _entry(i, j, k, nx, ny, entries, HASHED)[:, None] * FEATURES + columns
        share = (x_weight * y_weight * t_weight)[:, None] * g
        tl.atomic_add(of_table + place, share, whole, sem="relaxed")
        if WANTS_X:
            value = tl.sum(tl.load(table + place, whole, other=0.0) * g, 1)
            along_x += value * y_weight * t_weight * x_slope
            along_y += value * x_weight * t_weight * y_slope
            along_t += value * x_weight * y_weight * t_slope
    if WANTS_X:
        # A level's launch ends before the next one's begins.
        where = of_x + rows * AXES
        tl.store(where, tl.load(where, there) + along_x, there)
        tl.store(where + 1, tl.load(where + 1, there) + along_y, there)
        if AXES == 3:
            tl.store(where + 2, tl.load(where + 2, there) + along_t, there)
