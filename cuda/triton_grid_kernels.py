"""Triton kernels of one level of a grid: forward, and backward with atomic additions.

A grid of two axes is one of three axes whose last axis has one vertex.
"""

# Kernels are in Triton's language, in which tuples grow and names change their types.
# mypy: ignore-errors

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _along(x, rows, valid, count, AXIS: tl.constexpr, AXES: tl.constexpr):
    """Return the cells of points along an axis, and the positions within them, 0 to 1."""
    if AXIS < AXES:
        position = tl.load(x + rows * AXES + AXIS, valid, other=0.0) * (count - 1)
    else:
        position = tl.zeros(rows.shape, tl.float32)
    cell = tl.minimum(tl.floor(position).to(tl.int32), tl.maximum(count - 2, 0))
    return cell, position - cell.to(tl.float32)


@triton.jit
def _side(cell, fraction, count, UP: tl.constexpr):
    """Return the vertex on one side of a cell, its weight, and the derivative of that weight."""
    if UP:
        vertex = tl.minimum(cell + 1, count - 1)
        weight = fraction
        slope = count - 1
    else:
        vertex = cell
        weight = 1.0 - fraction
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
    out,
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
    """Interpolate a level at points `x`, shape (count, AXES), into its columns of `out`."""
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    valid = rows < count
    columns = tl.arange(0, BLOCK)[None, :]
    mask = valid[:, None] & (columns < FEATURES)
    x_cell, x_fraction = _along(x, rows, valid, nx, 0, AXES)
    y_cell, y_fraction = _along(x, rows, valid, ny, 1, AXES)
    t_cell, t_fraction = _along(x, rows, valid, nt, 2, AXES)
    total = tl.zeros((ROWS, BLOCK), tl.float32)
    for corner in tl.static_range(1 << AXES):
        i, x_weight, _ = _side(x_cell, x_fraction, nx, corner & 1)
        j, y_weight, _ = _side(y_cell, y_fraction, ny, corner >> 1 & 1)
        k, t_weight, _ = _side(t_cell, t_fraction, nt, corner >> 2)
        entry = _entry(i, j, k, nx, ny, entries, HASHED)
        values = tl.load(table + entry[:, None] * FEATURES + columns, mask, other=0.0)
        total += (x_weight * y_weight * t_weight)[:, None] * values
    address = out + (rows[:, None] * levels + level) * FEATURES + columns
    tl.store(address, total, mask)


@triton.jit(do_not_specialize=["count", "level", "nx", "ny", "nt", "entries"])
def backward(
    x,
    table,
    out_grad,
    x_grad,
    table_grad,
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
    """Add the gradients of a level's entries to `table_grad`, and of the points to `x_grad`."""
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    valid = rows < count
    columns = tl.arange(0, BLOCK)[None, :]
    mask = valid[:, None] & (columns < FEATURES)
    x_cell, x_fraction = _along(x, rows, valid, nx, 0, AXES)
    y_cell, y_fraction = _along(x, rows, valid, ny, 1, AXES)
    t_cell, t_fraction = _along(x, rows, valid, nt, 2, AXES)
    address = out_grad + (rows[:, None] * levels + level) * FEATURES + columns
    g = tl.load(address, mask, other=0.0)
    along_x = tl.zeros((ROWS,), tl.float32)
    along_y = tl.zeros((ROWS,), tl.float32)
    along_t = tl.zeros((ROWS,), tl.float32)
    for corner in tl.static_range(1 << AXES):
        i, x_weight, x_slope = _side(x_cell, x_fraction, nx, corner & 1)
        j, y_weight, y_slope = _side(y_cell, y_fraction, ny, corner >> 1 & 1)
        k, t_weight, t_slope = _side(t_cell, t_fraction, nt, corner >> 2)
        place = _entry(i, j, k, nx, ny, entries, HASHED)[:, None] * FEATURES + columns
        share = (x_weight * y_weight * t_weight)[:, None] * g
        tl.atomic_add(table_grad + place, share, mask, sem="relaxed")
        if WANTS_X:
            value = tl.sum(tl.load(table + place, mask, other=0.0) * g, 1)
            along_x += value * y_weight * t_weight * x_slope
            along_y += value * x_weight * t_weight * y_slope
            along_t += value * x_weight * y_weight * t_slope
    if WANTS_X:
        # Not atomic, because the launch of a level ends before that of the next one begins.
        address = x_grad + rows * AXES
        tl.store(address, tl.load(address, valid) + along_x, valid)
        tl.store(address + 1, tl.load(address + 1, valid) + along_y, valid)
        if AXES == 3:
            tl.store(address + 2, tl.load(address + 2, valid) + along_t, valid)
