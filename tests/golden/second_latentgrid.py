"""The part of the second decoder that reads model 3: sections 17 to 23 of docs/bitstream.md.

It is long on purpose: one file follows these sections one by one. Like second_decoder.py, whose
functions it gets as `tools`, it imports nothing of the project.
"""

import functools
import itertools
from pathlib import Path

import numpy as np

ANNEX = Path(__file__).parents[2] / "docs" / "latentgrid-defaults.txt"
MOTION, LUMA, CHROMA = range(3)


# Section 17.


def halve(size):
    return tuple((side + 1) // 2 for side in size)


def find_levels(frames, group, predicted):
    """Return frames, references of each frame, and depth of every level."""
    anchors = [*range(0, frames - 1, group), frames - 1]
    chain = [(-1,) if predicted else ()] + [(a,) for a in anchors]
    levels = [([t], [r], 0) for t, r in zip(anchors, chain, strict=False)]
    known, depth = anchors, 0
    while made := [((a + b) // 2, (a, b)) for a, b in itertools.pairwise(known) if b - a > 1]:
        depth += 1
        for start in range(0, len(made), 16):
            some = made[start : start + 16]
            levels.append(([t for t, _ in some], [r for _, r in some], depth))
        known = sorted([*known, *(t for t, _ in made)])
    return levels


def find_kind(channels, size, scales):
    """Return a kind with its bands as (rank, orientation, size), from band 0 on."""
    bands, plane = [], size
    for rank in range(scales, 0, -1):
        low, high = halve(plane), tuple(side // 2 for side in plane)
        of_rank = [(1, (low[0], high[1])), (2, (high[0], low[1])), (3, high)]
        bands = [(rank, o, band) for o, band in of_rank] + bands
        plane = low
    bands = [(0, 0, plane), *bands]
    return {"channels": channels, "size": size, "scales": scales, "bands": bands}


def read_config(tools, head, config):
    c = tools.Bytes(config)
    log_group, log_cell, scales, field_scales = (c.fixed("B") for _ in range(4))
    tools.check(not c.rest(), "bytes behind the configuration")
    tools.check(log_group <= 6 and 1 <= log_cell <= 6, "group or cell")
    size, cell, half = (head["height"], head["width"]), 1 << log_cell, head["yuv"]
    kinds = [
        find_kind(5, tuple(-(-side // cell) for side in size), field_scales),
        find_kind(1, size, scales),
        find_kind(2, halve(size) if half else size, max(scales - half, 0)),
    ]
    for kind in kinds[:2]:
        plane = kind["size"]
        tools.check(kind["scales"] <= 10, "scales")
        for _ in range(kind["scales"]):
            tools.check(min(plane) > 1, "halved too often")
            plane = halve(plane)
    return 1 << log_group, cell, kinds


# Sections 18 and 20: numbers of the networks.


def read_annex():
    """Return scales, channels and list of numbers of each kind."""
    found = {}
    for line in ANNEX.read_text().splitlines():
        words = line.split()
        if not words or words[0] == "#":
            continue
        if words[0] == "kind":
            numbers = []
            found[int(words[1])] = int(words[5]), int(words[3]), numbers
        else:
            numbers += map(int, words)
    return found


def default_numbers(kind, number):
    listed_scales, channels, numbers = read_annex()[number]
    biases = np.reshape(numbers[356:], (1 + 3 * listed_scales, channels))
    rows = [
        3 * max(rank - kind["scales"] + listed_scales, 1) + o - 3 if rank else 0
        for rank, o, _ in kind["bands"]
    ]
    return np.concatenate([numbers[:356], biases[rows].ravel()])


def scale_index(network, inputs, bias):
    hidden, linear, output = network
    h = np.clip((inputs @ hidden) // 32, 0, 255)
    return int(np.clip((inputs @ linear + h @ output + 16 * bias) // 128, 0, 63))


def logarithm(v):
    v = min(int(v), 511) + 1
    e = v.bit_length() - 1
    return 16 * e + v * 16 // 2**e - 16


# Sections 18 and 19: the body.


@functools.cache
def order(limit):
    """Return 0, -1, 1, -2, 2, ... up to +-limit (section 18)."""
    return [0, *(v for x in range(1, limit + 1) for v in (-x, x))]


class Magnitudes:
    """Q of a band, surrounded by zeros, and S of it."""

    def __init__(self, values):
        self.q = np.pad(np.abs(values), 2)

    def at(self, y, x):
        return self.q[y + 2, x + 2]

    def near(self, y, x):
        return min(255, self.q[y + 1 : y + 4, x + 1 : x + 4].sum())


class Body:
    """Everything that the body holds: steps, and the symbols of each kind and band."""

    def __init__(self, tools, kinds, levels, frames, body):
        self.kinds, self.tools = kinds, tools
        b = tools.Bytes(body)
        header = tools.Bytes(b.bytes())
        self.base, self.chroma = header.uvar(), header.svar()
        self.motion, self.mix = header.fixed("B"), header.fixed("B")
        self.offsets = [header.svar() for _ in range(8)]
        depths = max(depth for _, _, depth in levels) + 1
        arrays = [tools.read_array(header, frames) for _ in kinds]
        lengths = tools.read_array(header, depths * sum(kind["scales"] + 1 for kind in kinds))
        weight_headers = [(header.fixed("B"), header.fixed("B")) for _ in kinds]
        sizes = [header.uvar() for _ in range(2 + depths)]
        tools.check(not header.rest(), "bytes behind the header")
        side, weights, *messages = [b.raw(size) for size in sizes]
        tools.check(not b.rest(), "bytes behind the messages")
        coefficients = frames * sum(kind["channels"] * np.prod(kind["size"]) for kind in kinds)
        tools.check(coefficients <= min(len(body) << 16, 1 << 33), "too short for its frames")

        side = tools.Rans(side)
        order = [t for some, _, _ in levels for t in some]
        self.extents = []
        for kind, array in zip(kinds, arrays, strict=True):
            values = tools.finish_array(array, side)
            tools.check(min(values) >= 0 and max(values) <= kind["scales"] + 1, "extents")
            self.extents.append(dict(zip(order, values, strict=True)))
        lengths = iter(tools.finish_array(lengths, side))
        self.ranges = [
            [[(1 << next(lengths)) - 1 for _ in range(depths)] for _ in range(kind["scales"] + 1)]
            for kind in kinds
        ]
        for limit in itertools.chain(*itertools.chain(*self.ranges)):
            tools.check(1 <= limit <= 2047, "ranges")

        weights = tools.Rans(weights)
        self.networks, self.biases = [], []
        for number, (kind, (scale, limit)) in enumerate(zip(kinds, weight_headers, strict=True)):
            numbers = default_numbers(kind, number)
            if limit:
                table = tools.scale_table(False, scale, -limit, 2 * limit)
                numbers = [n + weights.symbol(table) - limit for n in numbers.tolist()]
            numbers = np.clip(numbers, -127, 127)
            self.networks.append(
                (numbers[:320].reshape(20, 16), numbers[320:340], numbers[340:356])
            )
            self.biases.append(numbers[356:].reshape(len(kind["bands"]), -1))

        self.symbols = [
            [np.zeros((frames, kind["channels"], *size), np.int64) for _, _, size in kind["bands"]]
            for kind in kinds
        ]
        self.tables = {}
        for depth, message in enumerate(messages):
            self.left, stream = 64 * len(message), tools.Rans(message)
            for some, references, depth_of_level in levels:
                for kind in range(3) if depth_of_level == depth else ():
                    for band in range(len(kinds[kind]["bands"])):
                        self.read_band(stream, kind, band, some, references, depth)

    def read_band(self, stream, kind, band, frames, references, depth):
        rank, _, (height, width) = self.kinds[kind]["bands"][band]
        values = self.symbols[kind][band]
        chosen = [t for t in frames if self.extents[kind][t] > rank]
        # The symbols of the first pass alone: contexts must not use the second.
        first = {t: np.zeros_like(values[t]) for t in chosen}
        for turn in range(2):
            for t in chosen:
                around = references[frames.index(t)]
                known = self.around(kind, band, t, around)
                for c, y, x in itertools.product(
                    range(values.shape[1]), range(height), range(width)
                ):
                    parent = known["parent"][c]
                    if (c + y + x) % 2 != turn:
                        continue
                    if rank > 1 and not parent.near(y >> 1, x >> 1):
                        continue
                    inputs = self.inputs(known, kind, band, c, y, x, depth, len(around))
                    if turn:
                        self.add_second(inputs, first[t], c, y, x)
                    index = scale_index(self.networks[kind], inputs, self.biases[kind][band, c])
                    limit = self.ranges[kind][rank][depth]
                    if (index, limit) not in self.tables:
                        table = self.tools.scale_table(False, index, -limit, 2 * limit)
                        widths = [table[v + limit + 1] - table[v + limit] for v in order(limit)]
                        self.tables[index, limit] = list(itertools.accumulate(widths, initial=0))
                    self.left -= 1
                    self.tools.check(self.left >= 0, "too many symbols in a message")
                    place = stream.symbol(self.tables[index, limit])
                    values[t, c, y, x] = order(limit)[place]
            for t in chosen:
                first[t][:] = values[t]

    def around(self, kind, band, t, references):
        """Return the magnitudes that both passes use, by channel."""
        own, bands = self.symbols[kind], self.kinds[kind]["bands"]
        rank, o, _ = bands[band]
        names = {(r, p): i for i, (r, p, _) in enumerate(bands)}
        channels = range(own[band].shape[1])
        above = names[rank - 1, o] if rank > 1 else 0
        found = {"parent": [Magnitudes(own[above][t, c]) for c in channels], "siblings": None}
        if o > 1:
            # Bands of a rank differ in size by one; positions outside of a band are 0.
            found["siblings"] = []
            for c in channels:
                total = np.zeros([side + 1 for side in halve(self.kinds[kind]["size"])], np.int64)
                for sibling in range(1, o):
                    q = np.abs(own[names[rank, sibling]][t, c])
                    total[: q.shape[0], : q.shape[1]] += q
                found["siblings"].append(Magnitudes(total))
        inside = [r for r in references if r >= 0]
        found["references"] = [[Magnitudes(own[band][r, c]) for r in inside] for c in channels]
        found["luma"] = None
        if kind == CHROMA and bands[band] in self.kinds[LUMA]["bands"]:
            luma = self.kinds[LUMA]["bands"].index(bands[band])
            found["luma"] = Magnitudes(self.symbols[LUMA][luma][t, 0])
        return found

    def inputs(self, known, kind, band, c, y, x, depth, references):
        """Return the inputs of section 20, as far as the first pass has them."""
        rank, o, _ = self.kinds[kind]["bands"][band]
        t = np.zeros(20, np.int64)

        def pair(number, magnitudes, y, x):
            t[number] = logarithm(sum(m.at(y, x) for m in magnitudes))
            t[number + 1] = logarithm(sum(m.near(y, x) for m in magnitudes))

        if rank:
            shift = int(rank > 1)
            pair(0, [known["parent"][c]], y >> shift, x >> shift)
        if known["siblings"]:
            pair(2, [known["siblings"][c]], y, x)
        pair(6, known["references"][c], y, x)
        if known["luma"]:
            pair(8, [known["luma"]], y, x)
        t[12] = 64
        t[14] = 16 * min(depth, 6)
        t[15], t[16] = 64 * (references == 0), 64 * (references == 1)
        t[17] = 64 * (o == 3)
        t[18] = 16 * (self.kinds[kind]["scales"] - rank)
        t[19] = 64 * (o == 1)
        return t

    def add_second(self, inputs, first, c, y, x):
        own = Magnitudes(first[c])
        inputs[4] = logarithm(own.at(y, x - 1) + own.at(y, x + 1))
        inputs[5] = logarithm(own.at(y - 1, x) + own.at(y + 1, x))
        inputs[13] = 64
        if len(first) > 1:
            others = Magnitudes(np.abs(first[1 - c % 2 :: 2]).sum(0))
            inputs[10], inputs[11] = logarithm(others.at(y, x)), logarithm(others.near(y, x))

    # Section 21.

    def luma_step(self, references, depth):
        j = min(depth + 1, 7) if references else 0
        return 2.0 ** (self.base / 256 + self.offsets[j] / 16 - 4)

    def planes(self, kind, t):
        """Return planes in steps, float64."""
        layout = self.kinds[kind]
        bands = [band[t].astype(np.float64) for band in self.symbols[kind]]
        plane = bands[0]
        for rank in range(layout["scales"]):
            high_x, high_y, both = bands[1 + 3 * rank : 4 + 3 * rank]
            left, right = (joined(a.swapaxes(1, 2), b.swapaxes(1, 2)).swapaxes(1, 2)
                           for a, b in ((plane, high_y), (high_x, both)))  # fmt: skip
            plane = joined(left, right)
        return plane


K = 1.149604398860241


def joined(low, high):
    """Undo a halving along the last axis."""
    n = low.shape[-1] + high.shape[-1]
    e, o = low / K, high * K

    def odd_sum():
        before = np.concatenate([o[..., :1], o], -1)[..., : e.shape[-1]]
        after = np.concatenate([o, o[..., -1:]], -1)[..., : e.shape[-1]]
        return before + after

    def even_sum():
        after = np.concatenate([e[..., 1:], e[..., -1:]], -1)
        return e[..., : o.shape[-1]] + after[..., : o.shape[-1]]

    e = e - 0.443506852043971 * odd_sum()
    o = o - 0.882911075530934 * even_sum()
    e = e + 0.052980118572961 * odd_sum()
    o = o + 1.586134342059924 * even_sum()
    line = np.empty((*low.shape[:-1], n))
    line[..., 0::2], line[..., 1::2] = e, o
    return line


# Sections 22 and 23.


def sampled(plane, y, x, taps, weight):
    """Return weighted means of samples around positions; indices are limited to the plane."""
    rows, columns = np.floor(y).astype(int), np.floor(x).astype(int)
    total = 0
    for a, b in itertools.product(taps, taps):
        factor = weight(np.abs(a - (y - rows))) * weight(np.abs(b - (x - columns)))
        limited = (np.clip(w + n, 0, side - 1) for w, n, side in
                   zip((rows, columns), (a, b), plane.shape, strict=True))  # fmt: skip
        total = total + factor * plane[tuple(limited)]
    return total


def bilinear(plane, y, x):
    return sampled(plane, y, x, (0, 1), lambda u: 1 - u)


def bicubic(plane, y, x):
    return sampled(plane, y, x, (-1, 0, 1, 2), keys)


def keys(u):
    near = 1.25 * u**3 - 2.25 * u**2 + 1
    far = -0.75 * u**3 + 3.75 * u**2 - 6 * u + 3
    return np.where(u <= 1, near, far)


def towards(field, side):
    """Return D_0 or D_1 as (x, y)."""
    m_x, m_y, s_x, s_y, _ = field
    return (s_x + m_x, s_y + m_y) if side == 0 else (s_x - m_x, s_y - m_y)


def expected_field(t, a, b, references, fields, cell):
    p, u = (b, a) if a in references[b] else (a, b)
    d = towards(fields[p], references[p].index(u))
    v_x, v_y = (axis / (u - p) for axis in d)
    y, x = np.indices(v_x.shape)
    y, x = y + v_y * (p - t) / cell, x + v_x * (p - t) / cell
    v = [bilinear(axis, y, x) for axis in (v_x, v_y)]
    m, s = ([axis * factor for axis in v] for factor in ((a - b) / 2, (a + b - 2 * t) / 2))
    return np.array([*m, *s, np.zeros_like(v_x)])


def predict(field, planes, cell, half):
    """Predict one plane from those of one or two references; `half` for chroma in 4:2:0 mode."""
    side, kernel = (cell / 2, bilinear) if half else (cell, bicubic)
    y, x = np.indices(planes[0].shape)
    at = (y + 0.5) / side - 0.5, (x + 0.5) / side - 0.5
    moved = []
    for number, plane in enumerate(planes):
        d_x, d_y = (bilinear(axis, *at) / (2 if half else 1) for axis in towards(field, number))
        moved.append(kernel(plane.astype(np.float64), y + d_y, x + d_x))
    if len(moved) == 1:
        return moved[0]
    g = 1 / (1 + np.exp(-bilinear(field[4], *at)))
    return g * moved[0] + (1 - g) * moved[1]


def decode(tools, head, config, frames, body, before):
    """Decode a segment.

    Returns symbols of every kind and band, then the steps; for each frame the three planes, or R, G
    and B; and the last frame's planes before conversion, which are `before` of the next segment.
    """
    group, cell, kinds = read_config(tools, head, config)
    levels = find_levels(frames, group, before is not None)
    coded = Body(tools, kinds, levels, frames, body)
    references = {t: r for some, around, _ in levels for t, r in zip(some, around, strict=True)}
    motion_steps = np.array([2.0 ** (coded.motion / 16 - 6)] * 4 + [2.0 ** (coded.mix / 16 - 6)])
    fields, made = {}, {-1: before}
    for t, depth in ((t, depth) for some, _, depth in levels for t in some):
        step = coded.luma_step(references[t], depth)
        luma = coded.planes(LUMA, t) * step
        chroma = coded.planes(CHROMA, t) * step * 2.0 ** (coded.chroma / 16)
        rest = [luma[0], *chroma]
        if not references[t]:
            predicted = [128.0] * 3
        else:
            fields[t] = coded.planes(MOTION, t) * motion_steps[:, None, None]
            if len(references[t]) == 2:
                fields[t] += expected_field(t, *references[t], references, fields, cell)
            predicted = [
                predict(fields[t], [made[r][i] for r in references[t]], cell, head["yuv"] and i > 0)
                for i in range(3)
            ]
        made[t] = [
            np.clip(np.floor(p + z + 0.5), 0, 255).astype(np.uint8)
            for p, z in zip(predicted, rest, strict=True)
        ]
    pictures = [made[t] for t in range(frames)]
    if not head["yuv"]:
        pictures = [to_rgb(*picture) for picture in pictures]
    numbers = [coded.base, coded.chroma, coded.motion, coded.mix, *coded.offsets]
    symbols = [band for bands in coded.symbols for band in bands]
    coded = [part.astype("<i4") for part in (*symbols, np.array(numbers))]
    return coded, pictures, made[frames - 1]


def to_rgb(y, co, cg):
    y, co, cg = y.astype(int), co.astype(int) - 128, cg.astype(int) - 128
    return [np.clip(channel, 0, 255) for channel in (y - cg + co, y + cg, y - cg - co)]
