"""Integer probability tables: their golden numbers are fixed by the bitstream."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import numpy as np
import pytest

from nvcodec.entropy.coder.probability_tables import (
    LARGEST_SYMBOL,
    SCALES,
    TOTAL,
    DistributionFamily,
    cumulative,
    decay,
    frequencies,
    from_masses,
    histogram,
    scale_value,
)


@pytest.mark.parametrize(
    ("index", "value"),
    [
        (0, 1440801),
        (1, 5145013),
        (7, 398132550),
        (16, 2605029347),
        (31, 4138284039),
        (42, 4271306145),
        (63, 4294343854),
    ],
)
def test_golden_decays(index, value):
    assert decay(index) == value


def test_decays_are_the_exponentials_they_stand_for():
    for index in range(SCALES):
        scale = 2.0 ** (index / 4 - 4)
        assert scale_value(index) == scale
        assert abs(decay(index) - math.exp(-1 / (2 * scale)) * 2**32) <= 0.501


@pytest.mark.parametrize(
    ("family", "index", "low", "high", "bounds"),
    [
        (DistributionFamily.LAPLACE, 0, -2, 2, (0, 1, 12, 65524, 65535, 65536)),
        (DistributionFamily.LAPLACE, 16, -4, 4,
         (0, 633, 2353, 7027, 19730, 45806, 58509, 63183, 64903, 65536)),
        (DistributionFamily.LAPLACE, 23, -1, 3, (0, 14432, 32421, 46853, 57573, 65536)),
        (DistributionFamily.LAPLACE, 63, -2, 2, (0, 13104, 26212, 39324, 52432, 65536)),
        (DistributionFamily.LOGISTIC, 14, -3, 3, (0, 1415, 6648, 21483, 44053, 58888, 64121, 65536)),
        (DistributionFamily.LOGISTIC, 40, 0, 5, (0, 10930, 21858, 32784, 43706, 54624, 65536)),
    ],
)  # fmt: skip
def test_golden_tables(family, index, low, high, bounds):
    assert cumulative(family, index, low, high) == bounds


def test_golden_histograms():
    assert histogram([0, 5, 63, 62, 8]) == (0, 1, 3, 35568, 65533, 65536)
    assert from_masses([0, 0, 0]) == (0, 65534, 65535, 65536)
    assert from_masses([1, 1, 1]) == (0, 21846, 43691, 65536)
    assert from_masses([0, 7, 0, 9]) == (0, 1, 28672, 28673, 65536)


def _check(bounds: tuple[int, ...], symbols: int) -> None:
    assert len(bounds) == symbols + 1
    assert (bounds[0], bounds[-1]) == (0, TOTAL)
    assert all(a < b for a, b in pairwise(bounds))
    assert all(type(bound) is int for bound in bounds)


@pytest.mark.parametrize("family", [DistributionFamily.LAPLACE, DistributionFamily.LOGISTIC])
def test_every_symbol_can_be_coded(family):
    chooser = random.Random(0)
    intervals = [(-LARGEST_SYMBOL, LARGEST_SYMBOL), (0, 1), (-1, 0), (LARGEST_SYMBOL - 1, 2047)]
    intervals += [
        tuple(sorted(chooser.sample(range(-LARGEST_SYMBOL, LARGEST_SYMBOL + 1), 2)))
        for _ in range(6)
    ]
    for index in range(SCALES):
        for low, high in intervals if index % 9 == 0 else intervals[1:4]:
            _check(cumulative(family, index, low, high), high - low + 1)


@pytest.mark.parametrize("family", [DistributionFamily.LAPLACE, DistributionFamily.LOGISTIC])
def test_frequencies_of_all_scales_are_those_of_the_tables(family):
    for low, high in [(0, 1), (-3, 5), (2, 9), (-40, -1), (-61, 77), (-2047, 2047), (2046, 2047)]:
        found = frequencies(family, low, high)
        assert found.shape == (SCALES, high - low + 1)
        for index in range(0, SCALES, 7):
            assert (found[index] == np.diff(cumulative(family, index, low, high))).all()


@pytest.mark.parametrize("family", [DistributionFamily.LAPLACE, DistributionFamily.LOGISTIC])
def test_tables_are_symmetric_and_fall_off(family):
    for index in range(SCALES):
        for reach in (1, 3, 20, 300):
            frequencies = np.diff(cumulative(family, index, -reach, reach))
            # The remainder from rounding goes to one likeliest symbol, which may have a twin.
            uneven = np.flatnonzero(frequencies != frequencies[::-1])
            assert uneven.size in (0, 2)
            assert (frequencies[uneven] >= frequencies.max() - len(frequencies)).all()
            steps = np.diff(frequencies[reach:])
            assert (steps <= 1).all() if index > 50 else (steps <= 0).all()


@pytest.mark.parametrize("family", [DistributionFamily.LAPLACE, DistributionFamily.LOGISTIC])
def test_tables_are_the_distributions_they_stand_for(family):
    def survival(x: float, scale: float) -> float:
        if family is DistributionFamily.LAPLACE:
            return 0.5 * math.exp(-x / scale)
        return 1 / (1 + math.exp(min(x / scale, 700)))

    for index in (4, 10, 16, 20, 28):
        scale, reach = scale_value(index), 200
        found = np.diff(cumulative(family, index, -reach, reach)) / TOTAL
        masses = [1 - 2 * survival(0.5, scale)]
        masses += [survival(k - 0.5, scale) - survival(k + 0.5, scale) for k in range(1, 20)]
        for symbol, mass in enumerate(masses):
            # 401 of 65536 parts are reserved so that no frequency is zero.
            assert found[reach + symbol] == pytest.approx(mass, rel=0.01, abs=3 / TOTAL + 0.002)


def test_random_histograms_and_masses():
    chooser = random.Random(1)
    for _ in range(200):
        count = chooser.choice([2, 3, 17, 400, 4095])
        _check(histogram([chooser.randrange(64) for _ in range(count)]), count)
        masses = [chooser.choice([0, 1, chooser.randrange(1 << 40)]) for _ in range(count)]
        bounds = from_masses(masses)
        _check(bounds, count)
