"""The perceptron as two Triton kernels: all layers of a tile of points without leaving the chip.

A program loads the weights once and keeps them while it works through its tiles. The backward pass
computes a tile's activations again: reading them would take longer than a few products on the chip.
Every program adds up gradients of weights for itself, and the programs' sums are added up in one
order afterwards, so that they are reproducible, which atomic additions would not be.

Weights lie in a row, layer by layer, in blocks of (WIDTH, IN), (WIDTH, WIDTH), ..., (OUT, WIDTH),
powers of two; behind them, if BIASED, the biases. Products are added up in float32.
"""

# Kernels are in Triton's language, whose tuples grow and whose names change their types.
# mypy: ignore-errors

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _activated(z, NAME: tl.constexpr):
    if NAME == "relu":
        z = tl.maximum(z, 0.0)
    elif NAME == "silu":
        z = z * tl.sigmoid(z)
    elif NAME == "gelu":
        z = 0.5 * z * (1.0 + tl.erf(z * 0.7071067811865476))
    elif NAME == "sine":
        z = tl.sin(z)
    elif NAME == "tanh":
        z = 2.0 * tl.sigmoid(2.0 * z) - 1.0
    elif NAME == "sigmoid":
        z = tl.sigmoid(z)
    return z


@triton.jit
def _slope(z, NAME: tl.constexpr):
    """The activation's derivative."""
    if NAME == "none":
        slope = tl.full(z.shape, 1.0, tl.float32)
    elif NAME == "relu":
        slope = tl.where(z > 0.0, 1.0, 0.0)
    elif NAME == "silu":
        s = tl.sigmoid(z)
        slope = s * (1.0 + z * (1.0 - s))
    elif NAME == "gelu":
        below = 0.5 * (1.0 + tl.erf(z * 0.7071067811865476))
        slope = below + z * 0.3989422804014327 * tl.exp(-0.5 * z * z)
    elif NAME == "sine":
        slope = tl.cos(z)
    elif NAME == "tanh":
        s = tl.sigmoid(2.0 * z)
        slope = 4.0 * s * (1.0 - s)
    else:
        s = tl.sigmoid(z)
        slope = s * (1.0 - s)
    return slope


@triton.jit
def _matrix(flat, DOWN: tl.constexpr, ACROSS: tl.constexpr):
    """Addresses of a layer's weights, shape (DOWN, ACROSS)."""
    return flat + tl.arange(0, DOWN)[:, None] * ACROSS + tl.arange(0, ACROSS)[None, :]


@triton.jit
def _held(
    flat,
    IN: tl.constexpr,
    WIDTH: tl.constexpr,
    OUT: tl.constexpr,
    DEPTH: tl.constexpr,
    BIASED: tl.constexpr,
):
    """All weights, and all biases, if there are any."""
    weights = (tl.load(_matrix(flat, WIDTH, IN)),)
    flat += WIDTH * IN
    for _ in tl.static_range(DEPTH - 1):
        weights += (tl.load(_matrix(flat, WIDTH, WIDTH)),)
        flat += WIDTH * WIDTH
    weights += (tl.load(_matrix(flat, OUT, WIDTH)),)
    flat += OUT * WIDTH
    biases = ()
    if BIASED:
        for _ in tl.static_range(DEPTH):
            biases += (tl.load(flat + tl.arange(0, WIDTH)),)
            flat += WIDTH
        biases += (tl.load(flat + tl.arange(0, OUT)),)
    return weights, biases


@triton.jit
def _tile(base, tile, count, values, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    """Addresses of a tile of points, and which of them there are."""
    rows = tl.arange(0, ROWS)[:, None]
    columns = tl.arange(0, BLOCK)[None, :]
    base += tl.cast(tile, tl.int64) * (ROWS * values)
    return base + (rows * values + columns), (rows < count - tile * ROWS) & (columns < values)


@triton.jit
def _product(a, b, WIDE: tl.constexpr):
    if WIDE:
        a = a.to(tl.float32)
        b = b.to(tl.float32)
    return tl.dot(a, b)


@triton.jit
def _linear(h, weights, biases, LAYER: tl.constexpr, BIASED: tl.constexpr, WIDE: tl.constexpr):
    z = _product(h, tl.trans(weights[LAYER]), WIDE)
    if BIASED:
        z += biases[LAYER].to(tl.float32)[None, :]
    return z


@triton.jit(do_not_specialize=["count"])
def forward(
    x,
    flat,
    made,
    count,
    n_in,
    n_out,
    IN: tl.constexpr,
    WIDTH: tl.constexpr,
    OUT: tl.constexpr,
    DEPTH: tl.constexpr,
    BIASED: tl.constexpr,
    ACTIVATION: tl.constexpr,
    OUTPUT_ACTIVATION: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
):
    """Outputs `made`, shape (count, n_out), of points `x`, shape (count, n_in)."""
    weights, biases = _held(flat, IN, WIDTH, OUT, DEPTH, BIASED)
    dtype = flat.dtype.element_ty
    for tile in range(tl.program_id(0), tl.cdiv(count, ROWS), tl.num_programs(0)):
        where, there = _tile(x, tile, count, n_in, ROWS, IN)
        h = tl.load(where, there, other=0.0).to(dtype)
        for layer in tl.static_range(DEPTH):
            h = _activated(_linear(h, weights, biases, layer, BIASED, WIDE), ACTIVATION).to(dtype)
        z = _linear(h, weights, biases, DEPTH, BIASED, WIDE)
        where, there = _tile(made, tile, count, n_out, ROWS, OUT)
        tl.store(where, _activated(z, OUTPUT_ACTIVATION).to(dtype), there)


@triton.jit(do_not_specialize=["count"])
def backward(
    x,
    flat,
    above,
    of_x,
    sums,
    size,
    count,
    n_out,
    n_in,
    IN: tl.constexpr,
    WIDTH: tl.constexpr,
    OUT: tl.constexpr,
    DEPTH: tl.constexpr,
    BIASED: tl.constexpr,
    ACTIVATION: tl.constexpr,
    OUTPUT_ACTIVATION: tl.constexpr,
    WIDE: tl.constexpr,
    WANTS_X: tl.constexpr,
    ROWS: tl.constexpr,
):
    """Gradients: of the points in `of_x`, of what lies in `flat` a row of `sums` for a program."""
    weights, biases = _held(flat, IN, WIDTH, OUT, DEPTH, BIASED)
    dtype = flat.dtype.element_ty
    of_weights = (tl.zeros((WIDTH, IN), tl.float32),)
    for _ in tl.static_range(DEPTH - 1):
        of_weights += (tl.zeros((WIDTH, WIDTH), tl.float32),)
    of_weights += (tl.zeros((OUT, WIDTH), tl.float32),)
    of_biases = ()
    if BIASED:
        for _ in tl.static_range(DEPTH):
            of_biases += (tl.zeros((WIDTH,), tl.float32),)
        of_biases += (tl.zeros((OUT,), tl.float32),)

    for tile in range(tl.program_id(0), tl.cdiv(count, ROWS), tl.num_programs(0)):
        where, there = _tile(x, tile, count, n_in, ROWS, IN)
        inputs = (tl.load(where, there, other=0.0).to(dtype),)
        slopes = ()
        for layer in tl.static_range(DEPTH):
            z = _linear(inputs[layer], weights, biases, layer, BIASED, WIDE)
            inputs += (_activated(z, ACTIVATION).to(dtype),)
            slopes += (_slope(z, ACTIVATION).to(dtype),)

        where, there = _tile(above, tile, count, n_out, ROWS, OUT)
        g = tl.load(where, there, other=0.0).to(tl.float32)
        if OUTPUT_ACTIVATION != "none":
            z = _linear(inputs[DEPTH], weights, biases, DEPTH, BIASED, WIDE)
            g *= _slope(z, OUTPUT_ACTIVATION)
        found_weights = ()
        found_biases = ()
        for layer in tl.static_range(DEPTH, -1, -1):
            half = g.to(dtype)
            found = of_weights[layer] + _product(tl.trans(half), inputs[layer], WIDE)
            found_weights = (found,) + found_weights
            if BIASED:
                found_biases = (of_biases[layer] + tl.sum(g, 0),) + found_biases
            if layer > 0:
                g = _product(half, weights[layer], WIDE) * slopes[layer - 1].to(tl.float32)
            elif WANTS_X:
                where, there = _tile(of_x, tile, count, n_in, ROWS, IN)
                tl.store(where, _product(half, weights[0], WIDE).to(of_x.dtype.element_ty), there)
        of_weights = found_weights
        of_biases = found_biases

    flat = sums + tl.program_id(0).to(tl.int64) * size
    tl.store(_matrix(flat, WIDTH, IN), of_weights[0])
    flat += WIDTH * IN
    for layer in tl.static_range(1, DEPTH):
        tl.store(_matrix(flat, WIDTH, WIDTH), of_weights[layer])
        flat += WIDTH * WIDTH
    tl.store(_matrix(flat, OUT, WIDTH), of_weights[DEPTH])
    flat += OUT * WIDTH
    if BIASED:
        for layer in tl.static_range(DEPTH):
            tl.store(flat + tl.arange(0, WIDTH), of_biases[layer])
            flat += WIDTH
        tl.store(flat + tl.arange(0, OUT), of_biases[DEPTH])
