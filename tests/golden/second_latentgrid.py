"""The part of the second decoder that reads model 3: sections 17 to 23 of docs/bitstream.md.

It is long on purpose: one file follows these sections one by one. Like second_decoder.py, whose
functions it gets as `tools`, it imports nothing of the project.
"""

import functools
import itertools
from pathlib import Path

import numpy as np

ANNEX = Path(__file__).parents[2] / "docs" / "latentgrid-defaults.txt"
LUMA, CHROMA = range(2)


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
    version, log_group, log_cell, scales = (c.fixed("B") for _ in range(4))
    tools.check(not c.rest(), "bytes behind the configuration")
    tools.check(version == 2, "another version of the configuration")
    tools.check(log_group <= 6 and 2 <= log_cell <= 5, "group or cell")
    size, half = (head["height"], head["width"]), head["yuv"]
    kinds = [
        find_kind(1, size, scales),
        find_kind(2, halve(size) if half else size, max(scales - half, 0)),
    ]
    tools.check(scales <= 10, "scales")
    plane = size
    for _ in range(scales):
        tools.check(min(plane) > 1, "halved too often")
        plane = halve(plane)
    return 1 << log_group, 1 << log_cell, kinds


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
    """Everything that the body holds: steps, symbols of each kind and band, and motion."""

    def __init__(self, tools, kinds, levels, frames, cell, body):
        self.kinds, self.tools = kinds, tools
        b = tools.Bytes(body)
        header = tools.Bytes(b.bytes())
        self.base, self.chroma = header.uvar(), header.svar()
        self.offsets = [header.svar() for _ in range(8)]
        depths = max(depth for _, _, depth in levels) + 1
        arrays = [tools.read_array(header, frames) for _ in kinds]
        lengths = tools.read_array(header, depths * sum(kind["scales"] + 1 for kind in kinds))
        weight_headers = [(header.fixed("B"), header.fixed("B")) for _ in kinds]
        sizes = [header.uvar() for _ in range(2 + 2 * depths)]
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
        self.motion = Motion(tools, kinds[LUMA]["size"], cell, levels)
        for depth, message in enumerate(messages[::2]):
            self.motion.read(message, depth)
        for depth, message in enumerate(messages[1::2]):
            self.left, stream = 64 * len(message), tools.Rans(message)
            for some, references, depth_of_level in levels:
                for kind in range(2) if depth_of_level == depth else ():
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


# Section 22.

COUNTS = """
  53 11   35 29   22 42   52 12   31 33   13 51   52 12   34 30   13 51
  20 24 5 2 1 13   42 8 2 1 1 11   17 21 6 2 1 18   38 10 3 1 1 13
  27 15 4 2 1 16   41 9 3 1 1 10   35 17 2 1 1 10   56 3 1 1 1 3
  1 30 30 4   6 31 26 1   19 25 20 1   36 14 14 1
  53 11   55 9   62 2   61 3
  15 10 14 10 7 4 2 1 1 1 1 1 1 1 1 1    31 12 11 4 3 2 1 1 1 1 1 1 1 1 1 1
  19 22 14 6 2 1 1 1 1 1 1 1 1 1 1 1    11 7 13 12 10 6 3 1 1 1 1 1 1 1 1 1
  16 11 14 10 6 3 1 1 1 1 1 1 1 1 1 1    3 23 25 7 3 2 1 1 1 1 1 1 1 1 1 1
  17 17 21 5 3 1 1 1 1 1 1 1 1 1 1 1    8 10 19 12 9 4 1 1 1 1 1 1 1 1 1 1
"""
NUMBERS_OF_VALUES = [2] * 9 + [6] * 8 + [4] * 4 + [2] * 4 + [16] * 8
USES = {0: (0, 1), 1: (0,), 2: (1,), 3: ()}
OWN = 5


def times(v, p, q):
    """Return v times p / q."""
    size = min(8191, (2 * abs(v * p) + abs(q)) // (2 * abs(q)))
    return size if v * p * q > 0 else -size


class Field:
    """The motion of a frame, by cell: level and mode of its block, and its two vectors (x, y)."""

    def __init__(self, references, rows, columns):
        self.references = references
        self.levels = np.full((rows, columns), -1)
        self.modes = np.zeros((rows, columns), np.int64)
        self.vectors = np.zeros((rows, columns, 2, 2), np.int64)
        self.blocks = []

    def at(self, y, x):
        """Return (mode, vector, vector) of a cell, None outside of the grid or if not coded yet."""
        rows, columns = self.levels.shape
        if not (0 <= y < rows and 0 <= x < columns) or self.levels[y, x] < 0:
            return None
        vectors = (tuple(vector) for vector in self.vectors[y, x].tolist())
        return int(self.modes[y, x]), *vectors


class Motion:
    """The motion of all frames, as the messages are read."""

    def __init__(self, tools, size, cell, levels):
        self.tools, self.cell, self.frames = tools, cell, levels
        self.rows, self.columns = (-(-side // cell) for side in size)
        self.fields = {}
        counts = iter(map(int, COUNTS.split()))
        self.counts = [list(itertools.islice(counts, n)) for n in NUMBERS_OF_VALUES]

    def read(self, message, depth):
        frames = [
            (t, around)
            for some, references, of_level in self.frames
            for t, around in zip(some, references, strict=True)
            if of_level == depth and around
        ]
        cells = len(frames) * self.rows * self.columns
        self.tools.check(cells <= len(message) << 12, "too much motion in a message")
        if not frames:
            self.tools.check(not message, "motion of frames without references")
            return
        self.stream = self.tools.Rans(message)
        self.tools.check(self.stream.x >= 1 << 31, "the state of a message of motion")
        for t, references in frames:
            self.read_frame(t, references)

    def read_frame(self, t, references):
        self.t, self.field = t, Field(references, self.rows, self.columns)
        self.tables = [self.table(counts) for counts in self.counts]
        self.seen = [[0] * len(counts) for counts in self.counts]
        for y, x in itertools.product(range(0, self.rows, 8), range(0, self.columns, 8)):
            self.read_block(3, y, x)
        self.fields[t] = self.field
        for counts, seen in zip(self.counts, self.seen, strict=True):
            counts[:] = [k + 4 * number for k, number in zip(counts, seen, strict=True)]
            while sum(counts) > 1024:
                counts[:] = [max(k // 2, 1) for k in counts]

    def table(self, counts):
        f = [1 + k * ((65536 - len(counts)) // sum(counts)) for k in counts]
        f[counts.index(max(counts))] += 65536 - sum(f)
        return list(itertools.accumulate(f, initial=0))

    def symbol(self, context):
        value = self.stream.symbol(self.tables[context])
        self.seen[context][value] += 1
        return value

    def even_symbol(self, digits):
        """Read a symbol of 2^digits equally likely values."""
        return self.stream.symbol(range(0, 65537, 65536 >> digits))

    def read_block(self, n, y, x):
        if y >= self.rows or x >= self.columns:
            return
        field, near = self.field, [(y, x - 1), (y - 1, x)]
        if n:
            a = sum(field.at(*cell) is not None and field.levels[cell] < n for cell in near)
            if self.symbol(3 * (n - 1) + a):
                half = 1 << n - 1
                for dy, dx in itertools.product((0, half), (0, half)):
                    self.read_block(n - 1, y + dy, x + dx)
                return
        candidates = self.candidates(n, y, x)
        left, above = (field.at(*cell) for cell in near)
        b = int(y > 0 and x > 0 and left == above)
        i = self.symbol(9 + 2 * n + b)
        if i == OWN:
            motion = self.read_own(n, candidates)
        else:
            motion = candidates[min(i, len(candidates) - 1)]
        cells = slice(y, y + (1 << n)), slice(x, x + (1 << n))
        field.levels[cells], field.modes[cells], field.vectors[cells] = n, motion[0], motion[1:]
        field.blocks.append((n, y, x, *motion))

    def read_own(self, n, candidates):
        if len(self.field.references) == 2:
            mode = self.symbol(17 + n)
        else:
            mode = (1, 3)[self.symbol(21 + n)]
        vectors = [(0, 0), (0, 0)]
        for i in USES[mode]:
            c = int(mode == 0 and i == 1)
            x, y = self.expected(mode, i, vectors[0], candidates)
            length, d_x = self.read_axis(25 + 4 * c)
            _, d_y = self.read_axis(26 + 4 * c + min(length, 2))
            vectors[i] = tuple(max(-8191, min(8191, v)) for v in (x + d_x, y + d_y))
        return mode, *vectors

    def read_axis(self, context):
        """Return the length and the number itself."""
        length = self.symbol(context)
        magnitude, left = int(length > 0), length - 1
        while left > 0:
            digits = min(left, 4)
            magnitude = magnitude << digits | self.even_symbol(digits)
            left -= digits
        return length, -magnitude if length and self.even_symbol(1) else magnitude

    def expected(self, mode, i, first, candidates):
        """Return the prediction of the vector to reference i; `first` is that to reference 0."""
        if mode == 0 and i == 1:
            for candidate in candidates:
                if candidate[0] == 0 and candidate[1] == first:
                    return candidate[2]
            t_0, t_1 = (r - self.t for r in self.field.references)
            return tuple(times(v, t_1, t_0) for v in first)
        used = [candidate for candidate in candidates if i in USES[candidate[0]]]
        return used[0][1 + i] if used else (0, 0)

    def candidates(self, n, y, x):
        field = self.field
        last_y, last_x = min(y + (1 << n), self.rows) - 1, min(x + (1 << n), self.columns) - 1
        middle = (y + last_y) // 2, (x + last_x) // 2
        all_of_them = [
            *(field.at(*cell) for cell in ((last_y, x - 1), (y - 1, last_x), (y - 1, last_x + 1))),
            *(self.carried(r, *middle) for r in field.references),
            field.at(y - 1, x - 1),
            (int(len(field.references) == 1), (0, 0), (0, 0)),
        ]
        different = []
        for motion in all_of_them:
            if motion is not None and motion not in different:
                different.append(motion)
        return different[:5]

    def carried(self, r, y, x):
        """Return what is carried over from reference r, None if nothing is."""
        if r not in self.fields:
            return None
        if self.fields[r].modes[y, x] == 3:
            return None
        (v_x, v_y), time = self.way(r, y, x)
        y, x = (
            max(
                0,
                min(
                    side - 1,
                    at + (2 * times(v, r - self.t, time) + 4 * self.cell) // (8 * self.cell),
                ),
            )
            for at, v, side in ((y, v_y, self.rows), (x, v_x, self.columns))
        )
        if self.fields[r].modes[y, x] == 3:
            return None
        vector, time = self.way(r, y, x)
        made = [
            tuple(times(v, reference - self.t, time) for v in vector)
            for reference in self.field.references
        ]
        return (0, *made) if len(made) == 2 else (1, made[0], (0, 0))

    def way(self, r, y, x):
        """Return V and T of a cell of reference r."""
        field = self.fields[r]
        mode, *vectors = field.at(y, x)
        i = int(mode == 2 or (mode == 0 and field.references[1] in self.field.references))
        return vectors[i], field.references[i] - r


# Section 23.

LUMA_FACTORS = {
    0: (0, 0, 0, 64, 0, 0, 0, 0),
    2: (-1, 4, -10, 58, 17, -5, 1, 0),
    4: (-1, 4, -11, 40, 40, -11, 4, -1),
    6: (0, 1, -5, 17, 58, -10, 4, -1),
}
CHROMA_FACTORS = {
    0: (0, 0, 0, 64, 0, 0, 0, 0),
    1: (0, 0, -2, 58, 10, -2, 0, 0),
    2: (0, 0, -4, 54, 16, -2, 0, 0),
    3: (0, 0, -6, 46, 28, -4, 0, 0),
    4: (0, 0, -4, 36, 36, -4, 0, 0),
    5: (0, 0, -4, 28, 46, -6, 0, 0),
    6: (0, 0, -2, 16, 54, -4, 0, 0),
    7: (0, 0, -2, 10, 58, -2, 0, 0),
}


def window(n, side):
    """Return o and the weights along an axis of a block of level n."""
    size = side << n
    o = min(size // 2, side)
    last = size + 2 * o - 1
    return o, [min((2 * min(k, last - k) + 1) * (side // o), 4 * side) for k in range(last + 1)]


def displaced(plane, y, x, vector, half):
    """Return values at the rows y and columns x, in 1/64 of a level."""
    factors, unit = (CHROMA_FACTORS, 1) if half else (LUMA_FACTORS, 2)
    (z_x, f_x), (z_y, f_y) = (divmod(unit * v, 8) for v in vector)
    height, width = plane.shape
    y = np.clip(np.add.outer(y + z_y, np.arange(8) - 3), 0, height - 1)
    x = np.clip(np.add.outer(x + z_x, np.arange(8) - 3), 0, width - 1)
    h = plane[:, x] @ np.array(factors[f_x])
    if not f_y:
        return h[y[:, 3]]
    return (np.einsum("yix,i->yx", h[y], np.array(factors[f_y])) + 32) >> 6


def predict(field, planes, cell, half):
    """Predict one plane from those of the references; `half` for chroma in 4:2:0 mode."""
    side = cell // 2 if half else cell
    planes = [plane.astype(np.int64) for plane in planes]
    shape = planes[0].shape
    weights, values = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for n, y, x, mode, *vectors in field.blocks:
        if mode == 3:
            continue
        rows, columns, weight = reach(n, y, x, side, shape)
        value, *other = [displaced(planes[i], rows, columns, vectors[i], half) for i in USES[mode]]
        if other:
            value = (value + other[0] + 1) >> 1
        weights[np.ix_(rows, columns)] += weight
        values[np.ix_(rows, columns)] += value * weight
    cells = np.argwhere(field.modes == 3)
    if len(cells):
        means = filled(field.modes, side, values, weights)
        for y, x in cells.tolist():
            rows, columns, weight = reach(0, y, x, side, shape)
            weights[np.ix_(rows, columns)] += weight
            values[np.ix_(rows, columns)] += means[y, x] * weight
    return ((values + (weights >> 1)) // weights) / 64


def reach(n, y, x, side, shape):
    """Return the rows and columns where a block has a weight, and the weights."""
    o, window_of_block = window(n, side)
    w, places = np.array(window_of_block), []
    for first, end in zip((y * side - o, x * side - o), shape, strict=True):
        at = np.arange(first, first + len(w))
        inside = (at >= 0) & (at < end)
        places.append((at[inside], w[inside]))
    (rows, w_y), (columns, w_x) = places
    return rows, columns, np.outer(w_y, w_x)


def filled(modes, side, values, weights):
    """Return the means of all cells, by (y, x)."""

    def mean(numbers):
        return (sum(numbers) + (len(numbers) >> 1)) // len(numbers)

    grids, (rows, columns) = [{}], modes.shape
    for y, x in np.argwhere(modes != 3).tolist():
        own = np.s_[y * side : (y + 1) * side, x * side : (x + 1) * side]
        numbers = (values[own] // weights[own]).ravel().tolist()
        grids[0][y, x] = max(0, min(16320, mean(numbers)))
    sizes = [(rows, columns)]
    while sizes[-1] != (1, 1):
        squares = {}
        for (y, x), number in grids[-1].items():
            squares.setdefault((y >> 1, x >> 1), []).append(number)
        grids.append({place: mean(numbers) for place, numbers in squares.items()})
        sizes.append(tuple((length + 1) >> 1 for length in sizes[-1]))
    grids[-1].setdefault((0, 0), 128 * 64)
    for j in range(len(grids) - 2, -1, -1):
        g, (last_y, last_x) = grids[j + 1], (length - 1 for length in sizes[j + 1])
        for y, x in itertools.product(*map(range, sizes[j])):
            if (y, x) not in grids[j]:
                (a, c), (b, d) = (
                    (k >> 1, max(0, min(last, (k >> 1) + (1 if k & 1 else -1))))
                    for k, last in ((y, last_y), (x, last_x))
                )
                total = 9 * g[a, b] + 3 * g[a, d] + 3 * g[c, b] + g[c, d]
                grids[j][y, x] = (total + 8) >> 4
    return grids[0]


def decode(tools, head, config, frames, body, before):
    """Decode a segment.

    Returns symbols of every kind and band, then levels, modes and vectors of the motion of each
    frame that has references, then the steps; for each frame the three planes, or R, G and B; and
    the last frame's planes before conversion, which are `before` of the next segment.
    """
    group, cell, kinds = read_config(tools, head, config)
    levels = find_levels(frames, group, before is not None)
    coded = Body(tools, kinds, levels, frames, cell, body)
    made = {-1: before}
    for some, around, depth in levels:
        for t, references in zip(some, around, strict=True):
            step = coded.luma_step(references, depth)
            luma = coded.planes(LUMA, t) * step
            chroma = coded.planes(CHROMA, t) * step * 2.0 ** (coded.chroma / 16)
            predicted = [128.0] * 3
            if references:
                field = coded.motion.fields[t]
                predicted = [
                    predict(field, [made[r][i] for r in references], cell, head["yuv"] and i > 0)
                    for i in range(3)
                ]
            made[t] = [
                np.clip(np.floor(p + z + 0.5), 0, 255).astype(np.uint8)
                for p, z in zip(predicted, [luma[0], *chroma], strict=True)
            ]
    pictures = [made[t] for t in range(frames)]
    if not head["yuv"]:
        pictures = [to_rgb(*picture) for picture in pictures]
    symbols = [band for bands in coded.symbols for band in bands]
    fields = [coded.motion.fields[t] for t in sorted(coded.motion.fields)]
    motion = [part for field in fields for part in (field.levels, field.modes, field.vectors)]
    numbers = np.array([coded.base, coded.chroma, *coded.offsets])
    coded = [part.astype("<i4") for part in (*symbols, *motion, numbers)]
    return coded, pictures, made[frames - 1]


def to_rgb(y, co, cg):
    y, co, cg = y.astype(int), co.astype(int) - 128, cg.astype(int) - 128
    return [np.clip(channel, 0, 255) for channel in (y - cg + co, y + cg, y - cg - co)]
