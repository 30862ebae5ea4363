"""The part of the second decoder that knows tokens: one symbol after the other.

Written from docs/bitstream.md alone; it shares nothing with the package.
"""

import itertools

import numpy as np

DECAYS = (64, 1966, 5243, 9830, 14418, 19661, 24904, 30147)
DECAYS += (35389, 40632, 45875, 50463, 55050, 58982, 62259, 65536)
# The largest U of each class (section 26).
LAST_OF_CLASS = (0, 1, 2, 4, 6, 9, 13)


def grid(head, frames):
    """Steps, rows and columns of a segment (section 25)."""
    stride, cell = head["tokens"]["time_stride"], head["tokens"]["space_stride"]
    sizes = head["height"], head["width"]
    return 1 + -(-(frames - 1) // stride), *(-(-size // cell) for size in sizes)


def ids(head, digits):
    """The id of each token: a dictionary like `digits`."""
    out = {}
    for place, values in digits.items():
        number = 0
        for value, levels in reversed(list(zip(values, head["tokens"]["levels"], strict=True))):
            number = number * levels + value
        out[place] = number
    return out


def around(head, digits, t, grid, side):
    """What a network is told of frame t, shape (38, *grid) (section 14)."""
    steps, *cells = (1 + max(places) for places in zip(*digits, strict=True))
    step, p = (-(-t // 4), 2 * ((t - 1) % 4) / 3 - 1) if t else (0, 1.0)
    cell = head["tokens"]["space_stride"]

    def lies_on(i, count):
        """Shares of position i, one for each of `count` cells."""
        shares = [max(min(side * (i + 1), cell * (j + 1)) - max(side * i, cell * j), 0)
                  for j in range(count)]  # fmt: skip
        if not sum(shares):
            shares[-1] = 1
        return np.array(shares) / sum(shares)

    rows, columns = (
        np.array([lies_on(i, count) for i in range(n)])
        for n, count in zip(grid, cells, strict=True)
    )
    codes = []
    for wanted in (step - 1, step, step + 1):
        there = min(max(wanted, 0), steps - 1)
        for k, levels in enumerate(head["tokens"]["levels"]):
            plane = [
                [
                    (2 * digits[there, y, x][k] - (levels - 1)) / (levels - 1)
                    for x in range(cells[1])
                ]
                for y in range(cells[0])
            ]
            codes.append(rows @ np.array(plane) @ columns.T)
    flat = np.ones(grid)
    return np.stack([*codes, *(p * code for code in codes), p * flat, p * p * flat])


def order(steps):
    """Kind, and steps as (step, before, behind), of each level."""
    yield 0, [(0, None, None)]
    if steps > 1:
        yield 1, [(steps - 1, 0, None)]
    known = [0, steps - 1]
    while any(b - a > 1 for a, b in itertools.pairwise(known)):
        level = []
        for a, b in itertools.pairwise(known):
            if b - a > 1:
                level.append(((a + b) // 2, a, b))
        yield 2, level
        known = sorted(known + [step for step, _, _ in level])


def decode(tools, message, shape, levels):
    """Digits of every token: a dictionary from (step, row, column) to a list (section 26)."""
    steps, rows, columns = shape
    b = tools.Bytes(message)
    kinds = [b.fixed("B") for _ in range(3)]
    strength = b.fixed("B")
    tools.check(strength <= 7 and all(kind >> 4 <= 4 for kind in kinds), "choices")
    tools.check(steps * rows * columns <= 256 * len(message), "too short")
    rans = tools.Rans(b.rest())
    count = len(levels)
    found = {}  # (step, row, column) to digits
    seen = {}  # table to how often each value was coded with it

    def around(y, x):
        near = ((y, x - 1), (y, x + 1), (y - 1, x), (y + 1, x))
        return [(j, i) for j, i in near if 0 <= j < rows and 0 <= i < columns]

    for kind, level in order(steps):
        scale, weight = kinds[kind] & 15, kinds[kind] >> 4

        def expected(k, step, y, x, kind=kind):
            _, a, b = step
            if kind == 0:
                return levels[k] - 1
            before = found[a, y, x][k]
            return 2 * before if kind == 1 else before + found[b, y, x][k]

        def apart(k, step, y, x):
            _, a, b = step
            return abs(found[a, y, x][k] - found[b, y, x][k])

        def context(k, step, y, x, odd, kind=kind, weight=weight, expected=expected, apart=apart):
            near, n = around(y, x), max(len(around(y, x)), 1)
            e, u = expected(k, step, y, x), 0
            if kind == 2:
                u = 2 * apart(k, step, y, x)
                u += 2 * sum(apart(j, step, y, x) for j in range(count)) // count
                u += sum(apart(k, step, *place) for place in near) // n
            c = e
            if odd:
                off = [2 * found[(step[0], *p)][k] - expected(k, step, *p) for p in near]
                r = sum(off)
                c += (r > 0) * ((r * weight + 2 * n) // (4 * n))
                c -= (r < 0) * ((-r * weight + 2 * n) // (4 * n))
                c = min(max(c, 0), 2 * levels[k] - 2)
                u += sum(map(abs, off)) // n
            return c, u

        for odd in (0, 1):
            places = [(y, x) for y in range(rows) for x in range(columns) if (y + x) % 2 == odd]
            coded = []
            for k in range(count):
                for step in level:
                    for y, x in places:
                        c, u = context(k, step, y, x, odd)
                        number = sum(u > last for last in LAST_OF_CLASS)
                        if kind == 0 and not odd:
                            number = 8
                        table = (kind, k, c, number)
                        value = rans.symbol(cumulative(tools, table, levels, scale, strength, seen))
                        coded.append((table, value))
                        found.setdefault((step[0], y, x), []).append(value)
            for table, value in coded:
                seen.setdefault(table, [0] * levels[table[1]])[value] += 1
    return found


def cumulative(tools, table, levels, scale, strength, seen):
    """The table as it is now."""
    _, k, c, number = table
    i = 15 if number == 8 else min(scale + number, 15)
    w = [65536]
    while len(w) <= 2 * levels[k]:
        w.append(w[-1] * DECAYS[i] // 65536)
    far = [w[abs(2 * x - c)] for x in range(levels[k])]
    known = seen.get(table, [0] * levels[k])
    masses = [
        (4096 * part // sum(far) << strength) + 4096 * times
        for part, times in zip(far, known, strict=True)
    ]
    return tools.cumulative(masses)
