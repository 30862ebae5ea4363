"""Tests of the BD-rate between rate-distortion curves."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator

from nvcodec.errors import ConfigError
from nvcodec.metrics import bd_rate

ANCHOR = [(1200.0, 28.1), (2500.0, 31.4), (5200.0, 34.0), (11000.0, 36.9)]


def _by_scipy(anchor, test):
    """Compute the BD-rate with the interpolation of SciPy."""
    low = max(min(quality for _, quality in side) for side in (anchor, test))
    high = min(max(quality for _, quality in side) for side in (anchor, test))
    means = []
    for side in (anchor, test):
        rate, quality = np.array(sorted(side)).T
        area = PchipInterpolator(quality, np.log10(rate)).integrate(low, high)
        means.append(float(area) / (high - low))
    return 100 * (10 ** (means[1] - means[0]) - 1)


def test_a_curve_against_itself():
    assert bd_rate(ANCHOR, ANCHOR) == 0.0


@pytest.mark.parametrize("factor", [0.25, 0.8, 1.6, 8.0])
def test_the_same_quality_at_other_rates(factor):
    test = [(factor * rate, quality) for rate, quality in ANCHOR]
    assert bd_rate(ANCHOR, test) == pytest.approx(100 * (factor - 1))
    assert bd_rate(test, ANCHOR) == pytest.approx(100 * (1 / factor - 1))


def test_units_and_order_of_points_do_not_matter():
    test = [(900.0, 26.0), (3000.0, 33.0), (9000.0, 36.0)]
    expected = bd_rate(ANCHOR, test)
    shuffled = [(rate / 7, quality) for rate, quality in reversed(test)]
    assert bd_rate([(rate / 7, quality) for rate, quality in ANCHOR], shuffled) == pytest.approx(
        expected
    )


@pytest.mark.parametrize("points", [2, 3, 4, 7])
def test_the_interpolation_is_scipys(points):
    generator = np.random.default_rng(points)
    for _ in range(20):
        sides = []
        for _ in range(2):
            rate = np.cumsum(generator.exponential(1000, points)) + 1
            quality = 25 + np.cumsum(generator.exponential(2, points))
            sides.append([(float(r), float(q)) for r, q in zip(rate, quality, strict=True)])
        if max(sides[0][0][1], sides[1][0][1]) < min(sides[0][-1][1], sides[1][-1][1]):
            assert bd_rate(*sides) == pytest.approx(_by_scipy(*sides))


def test_only_the_qualities_of_both_count():
    anchor = [(10.0, 30.0), (100.0, 40.0)]
    inside = [(10 ** (1 + 0.2), 30.5), (10 ** (1 + 0.9), 37.5)]  # 10 ** 0.15 times the rate
    assert bd_rate(anchor, inside) == pytest.approx(100 * (10**0.15 - 1))
    assert bd_rate(inside, anchor) == pytest.approx(100 * (10**-0.15 - 1))


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([], "at least 2 points, got 0"),
        ([(100.0, 30.0)], "at least 2 points, got 1"),
        ([(0.0, 30.0), (100.0, 32.0)], "positive rates"),
        ([(100.0, 30.0), (200.0, float("nan"))], "finite"),
        ([(100.0, 30.0), (200.0, 30.0)], "rise with quality"),
        ([(100.0, 30.0), (200.0, 29.0)], "rise with quality"),
        ([(100.0, 30.0), (100.0, 31.0)], "rise with quality"),
        ([(10.0, 10.0), (20.0, 28.1)], "overlap in quality, got 28.1..36.9 and 10..28.1"),
        ([(1e6, 50.0), (2e6, 60.0)], "overlap in quality"),
    ],
)
def test_curves_that_cannot_be_compared(points, message):
    with pytest.raises(ConfigError, match=message):
        bd_rate(ANCHOR, points)
