"""A level of the grid as two Triton kernels; gradients of entries are added up atomically.

Two axes are three of which the last has one vertex.
"""

# Kernels are in Triton's language, whose tuples grow and whose names change their types.
# mypy: ignore-errors

from __future__ import annotations

import triton
import triton.language as tl


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
def forward(
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
    """What points `x`, shape (count, AXES), find in a level: its columns of `made`."""
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
def backward(
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
    """Gradients, added to those of the level's entries and, of the points, to other levels'."""
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
