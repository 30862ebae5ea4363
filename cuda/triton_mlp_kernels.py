"""Triton kernels of perceptrons, forward and backward: all layers of a tile of points on the chip.

A program loads the weights once and keeps them while it processes its tiles. The backward pass
computes the activations of a tile again, because reading them from memory would take longer than a
few products on the chip. Every program adds up its own gradients of weights. The sums of all
programs are added up afterwards in a fixed order, so that gradients are reproducible, unlike those
of atomic additions.

Weights are one vector, layer by layer, in blocks of (WIDTH, IN), (WIDTH, WIDTH), ..., (OUT, WIDTH),
whose sides are powers of two. If BIASED, the biases follow. Products are added up in float32.
"""

# Kernels are in Triton's language, in which tuples grow and names change their types.
# mypy: ignore-errors

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _activate(z, NAME: tl.constexpr):
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
    """Return the derivative of an activation."""
    if NAME == "none":
        slope = tl.full(z.shape, 1.0, tl.float32)
    elif NAME == "relu":
        slope = tl.where(z > 0.0, 1.0, 0.0)
    elif NAME == "silu":
        s = tl.sigmoid(z)
        slope = s * (1.0 + z * (1.0 - s))
    elif NAME == "gelu":
        cdf = 0.5 * (1.0 + tl.erf(z * 0.7071067811865476))
        slope = cdf + z * 0.3989422804014327 * tl.exp(-0.5 * z * z)
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
def _matrix(flat, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Return the addresses of the weights of a layer, shape (ROWS, COLUMNS)."""
    return flat + tl.arange(0, ROWS)[:, None] * COLUMNS + tl.arange(0, COLUMNS)[None, :]


@triton.jit
def _load_layers(
    flat,
    IN: tl.constexpr,
    WIDTH: tl.constexpr,
    OUT: tl.constexpr,
    DEPTH: tl.constexpr,
    BIASED: tl.constexpr,
):
    """Load the weights and the biases, if there are any, of all layers."""
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
    """Return the addresses of a tile of points, and the mask of those that exist."""
    rows = tl.arange(0, ROWS)[:, None]
    columns = tl.arange(0, BLOCK)[None, :]
    base += tl.cast(tile, tl.int64) * (ROWS * values)
    return base + (rows * values + columns), (rows < count - tile * ROWS) & (columns < values)


@triton.jit
def _product(a, b, WIDE: tl.constexpr):
    """Multiply matrices, in float32 if WIDE."""
    if WIDE:
        a = a.to(tl.float32)
        b = b.to(tl.float32)
    return tl.dot(a, b)


@triton.jit
def _linear(h, weights, biases, LAYER: tl.constexpr, BIASED: tl.constexpr, WIDE: tl.constexpr):
    """Apply a layer to a tile of points, without its activation."""
    z = _product(h, tl.trans(weights[LAYER]), WIDE)
    if BIASED:
        z += biases[LAYER].to(tl.float32)[None, :]
    return z


@triton.jit(do_not_specialize=["count"])
def forward(
    x,
    flat,
    out,
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
    """Compute the outputs `out`, shape (count, n_out), of points `x`, shape (count, n_in)."""
    weights, biases = _load_layers(flat, IN, WIDTH, OUT, DEPTH, BIASED)
    dtype = flat.dtype.element_ty
    for tile in range(tl.program_id(0), tl.cdiv(count, ROWS), tl.num_programs(0)):
        address, mask = _tile(x, tile, count, n_in, ROWS, IN)
        h = tl.load(address, mask, other=0.0).to(dtype)
        for layer in tl.static_range(DEPTH):
            h = _activate(_linear(h, weights, biases, layer, BIASED, WIDE), ACTIVATION).to(dtype)
        z = _linear(h, weights, biases, DEPTH, BIASED, WIDE)
        address, mask = _tile(out, tile, count, n_out, ROWS, OUT)
        tl.store(address, _activate(z, OUTPUT_ACTIVATION).to(dtype), mask)


@triton.jit(do_not_specialize=["count"])
def backward(
    x,
    flat,
    out_grad,
    x_grad,
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
    """Compute the gradients of points, `x_grad`, and of weights and biases, a row of `sums` each.

    A program writes the sum of the gradients of its tiles, in the layout of `flat`.
    """
    weights, biases = _load_layers(flat, IN, WIDTH, OUT, DEPTH, BIASED)
    dtype = flat.dtype.element_ty
    weight_grads = (tl.zeros((WIDTH, IN), tl.float32),)
    for _ in tl.static_range(DEPTH - 1):
        weight_grads += (tl.zeros((WIDTH, WIDTH), tl.float32),)
    weight_grads += (tl.zeros((OUT, WIDTH), tl.float32),)
    bias_grads = ()
    if BIASED:
        for _ in tl.static_range(DEPTH):
            bias_grads += (tl.zeros((WIDTH,), tl.float32),)
        bias_grads += (tl.zeros((OUT,), tl.float32),)

    for tile in range(tl.program_id(0), tl.cdiv(count, ROWS), tl.num_programs(0)):
        address, mask = _tile(x, tile, count, n_in, ROWS, IN)
        inputs = (tl.load(address, mask, other=0.0).to(dtype),)
        slopes = ()
        for layer in tl.static_range(DEPTH):
            z = _linear(inputs[layer], weights, biases, layer, BIASED, WIDE)
            inputs += (_activate(z, ACTIVATION).to(dtype),)
            slopes += (_slope(z, ACTIVATION).to(dtype),)

        address, mask = _tile(out_grad, tile, count, n_out, ROWS, OUT)
        g = tl.load(address, mask, other=0.0).to(tl.float32)
        if OUTPUT_ACTIVATION != "none":
            z = _linear(inputs[DEPTH], weights, biases, DEPTH, BIASED, WIDE)
            g *= _slope(z, OUTPUT_ACTIVATION)
        new_weight_grads = ()
        new_bias_grads = ()
        for layer in tl.static_range(DEPTH, -1, -1):
            half = g.to(dtype)
            weight_grad = weight_grads[layer] + _product(tl.trans(half), inputs[layer], WIDE)
            new_weight_grads = (weight_grad,) + new_weight_grads
            if BIASED:
                new_bias_grads = (bias_grads[layer] + tl.sum(g, 0),) + new_bias_grads
            if layer > 0:
                g = _product(half, weights[layer], WIDE) * slopes[layer - 1].to(tl.float32)
            elif WANTS_X:
                address, mask = _tile(x_grad, tile, count, n_in, ROWS, IN)
                tl.store(
                    address, _product(half, weights[0], WIDE).to(x_grad.dtype.element_ty), mask
                )
        weight_grads = new_weight_grads
        bias_grads = new_bias_grads

    flat = sums + tl.program_id(0).to(tl.int64) * size
    tl.store(_matrix(flat, WIDTH, IN), weight_grads[0])
    flat += WIDTH * IN
    for layer in tl.static_range(1, DEPTH):
        tl.store(_matrix(flat, WIDTH, WIDTH), weight_grads[layer])
        flat += WIDTH * WIDTH
    tl.store(_matrix(flat, OUT, WIDTH), weight_grads[DEPTH])
    flat += OUT * WIDTH
    if BIASED:
        for layer in tl.static_range(DEPTH):
            tl.store(flat + tl.arange(0, WIDTH), bias_grads[layer])
            flat += WIDTH
        tl.store(flat + tl.arange(0, OUT), bias_grads[DEPTH])
