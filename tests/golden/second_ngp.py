"""The part of the second decoder that reads model 6: features of hash grids, and a perceptron.

It was written from docs/bitstream.md alone and shares nothing with the package.
"""

import itertools

import numpy as np


def layout(tools, head, config):
    """Return the network, and its tensors as (shape, channel axis, group) (section 13)."""
    c = tools.Bytes(config)
    n, features, log2 = (c.fixed("B") for _ in range(3))
    width, depth = c.fixed("H"), c.fixed("B")
    levels = [tuple(c.fixed("H") for _ in range(3)) for _ in range(n)]
    tools.check(not c.rest(), "bytes behind the configuration")
    half = 2 if head["yuv"] else 1
    native = -(-head["height"] // half), -(-head["width"] // half)
    tensors = []
    for x, y, t in levels:
        dense = x * y * t <= 1 << log2
        shape = (t, y, x, features) if dense else (1 << log2, features)
        tensors.append((shape, len(shape) - 1, 1))
    sizes = [n * features, *[width] * depth, 6 if head["yuv"] else 3]
    tensors += [((outputs, inputs), 0, 1) for inputs, outputs in itertools.pairwise(sizes)]
    return {"native": native, "levels": levels}, tensors


def run(net, values, t, frames):
    """Return one frame: samples in [0, 1], shape (channels, height, width) (section 14)."""
    height, width = net["native"]
    columns, rows = np.meshgrid(
        (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    )
    moment = np.full(rows.shape, t / (frames - 1) if frames > 1 else 0.0)
    tables, layers = values[: len(net["levels"])], values[len(net["levels"]) :]
    found = [
        look_up(table, level, (columns, rows, moment))
        for table, level in zip(tables, net["levels"], strict=True)
    ]
    x = np.concatenate(found, axis=-1)
    for number, weight in enumerate(layers):
        x = x @ weight.T.astype(np.float64)
        if number < len(layers) - 1:
            x = np.maximum(x, 0)
    return np.tanh(np.moveaxis(x, -1, 0)) / 2 + 0.5


def look_up(table, level, point):
    """Interpolate features at points between the vertices around them; shape (h, w, features)."""
    dense = table.ndim == 4
    out = 0
    for corner in itertools.product((0, 1), repeat=3):
        weight, index = 1.0, []
        for n, above, place in zip(level, corner, point, strict=True):
            position = place * (n - 1)
            cell = np.minimum(np.floor(position), max(n - 2, 0)).astype(np.int64)
            part = position - cell
            weight = weight * (part if above else 1 - part)
            index.append(np.minimum(cell + above, n - 1))
        i, j, k = index
        if dense:
            entry = table[k, j, i]
        else:
            entry = table[(i ^ j * 2654435761 ^ k * 805459861) % len(table)]
        out = out + weight[..., None] * entry
    return out
