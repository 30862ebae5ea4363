"""The part of the second decoder that reads tokens, one symbol after the other.

It was written from docs/bitstream.md alone and shares nothing with the package.
"""

import functools
import itertools

import numpy as np

DECAYS = (64, 1966, 5243, 9830, 14418, 19661, 24904, 30147)
DECAYS += (35389, 40632, 45875, 50463, 55050, 58982, 62259, 65536)
# The largest 2 U // D of each class but the last (section 26).
LAST_OF_CLASS = (0, 2, 4, 6, 8, 11, 14, 18, 23)


def grid(head, frames):
    """Return steps, rows and columns of a segment (section 25)."""
    stride, cell = head["tokens"]["time_stride"], head["tokens"]["space_stride"]
    sizes = head["height"], head["width"]
    return 1 + -(-(frames - 1) // stride), *(-(-size // cell) for size in sizes)


def ids(head, digits):
    """Return the id of each token, as a dictionary like `digits`."""
    out = {}
    for place, values in digits.items():
        number = 0
        for value, levels in reversed(list(zip(values, head["tokens"]["levels"], strict=True))):
            number = number * levels + value
        out[place] = number
    return out


def around(head, digits, t, grid, side):
    """Return the token inputs of a network for frame t, shape (38, *grid) (section 14)."""
    steps, *cells = (1 + max(places) for places in zip(*digits, strict=True))
    step, p = (-(-t // 4), 2 * ((t - 1) % 4) / 3 - 1) if t else (0, 1.0)
    cell = head["tokens"]["space_stride"]

    def lies_on(i, count):
        """Return the shares of position i that lie on each of `count` cells."""
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
    """Yield kind, and steps as (step, before, behind), of each level."""
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
    """Decode the digits of every token (section 26).

    Returns a dictionary from (step, row, column) to a list.
    """
    steps, rows, columns = shape
    b = tools.Bytes(message)
    kinds = [b.fixed("B") for _ in range(3)]
    spread = b.fixed("B") - 128
    tools.check(0 <= spread <= 15 and all(kind >> 4 <= 4 for kind in kinds), "choices")
    tools.check(steps * rows * columns <= 256 * len(message), "too short")
    rans = tools.Rans(b.rest())
    n = len(levels)
    found = {}  # (step, row, column) to digits
    changes = [
        [[rans.symbol(cumulative(tools, 9, spread, 8)) - 4 for _ in range(10)] for _ in range(n)]
        for _ in range(min(steps, 3))
    ]

    def scale_of(kind, k, c):
        changed = sum(sum(row[: c + 1]) for row in changes[kind][: k + 1])
        return min(max((kinds[kind] & 15) + c + changed, 0), 15)

    def around(y, x):
        near = ((y, x - 1), (y, x + 1), (y - 1, x), (y + 1, x))
        return [(j, i) for j, i in near if 0 <= j < rows and 0 <= i < columns]

    def mean(values, y, x, k):
        """Return the mean over the neighbours, as the section defines it.

        `values(place)` is a list of n numbers.
        """
        near = around(y, x)
        summed = [sum(values(place)[j] for place in near) for j in range(n)]
        return 4096 // max(len(near), 1) * (n * summed[k] + sum(summed)) // 4096

    for kind, level in order(steps):
        weight = kinds[kind] >> 4
        whole = (kind and rows * columns < 64) or rows * columns == 1

        def expected(k, step, y, x, kind=kind):
            _, a, b = step
            if kind == 0:
                return levels[k] - 1
            before = found[a, y, x][k]
            return 2 * before if kind == 1 else before + found[b, y, x][k]

        def context(k, step, y, x, odd, kind=kind, weight=weight, expected=expected):
            t, a, b = step
            c, u = expected(k, step, y, x), 0
            if kind == 2:

                def apart(place):
                    pair = zip(found[(a, *place)], found[(b, *place)], strict=True)
                    return [abs(one - other) for one, other in pair]

                here = apart((y, x))
                u = 2 * n * here[k] + 2 * sum(here) + mean(apart, y, x, k)
            if odd:

                def off(place):
                    return [2 * found[(t, *place)][j] - expected(j, step, *place) for j in range(n)]

                near = around(y, x)
                moved = weight * (4096 // max(len(near), 1)) * sum(off(place)[k] for place in near)
                c = min(max(c + (moved + 8192) // 16384, 0), 2 * levels[k] - 2)
                u += mean(lambda place: [abs(value) for value in off(place)], y, x, k)
            number = sum(2 * u // n > last for last in LAST_OF_CLASS)
            return c, 9 if kind == 0 and not odd else number

        for odd in (0,) if whole else (0, 1):
            places = [
                (y, x) for y in range(rows) for x in range(columns) if whole or (y + x) % 2 == odd
            ]
            for k in range(n):
                for step in level:
                    for y, x in places:
                        c, number = context(k, step, y, x, odd)
                        scale = scale_of(kind, k, number)
                        value = rans.symbol(cumulative(tools, levels[k], scale, c))
                        found.setdefault((step[0], y, x), []).append(value)
    return found


def cumulative(tools, levels, scale, centre):
    """Return the table of a digit as cumulative frequencies."""
    return tools.cumulative(masses(levels, scale, centre))


@functools.cache
def masses(levels, scale, centre):
    """Return the masses of a digit's values."""
    w = [65536]
    while len(w) < 2 * levels:
        w.append(w[-1] * DECAYS[scale] // 65536)
    return [w[abs(2 * x - centre)] for x in range(levels)]
