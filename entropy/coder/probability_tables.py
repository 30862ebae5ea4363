"""Integer probability tables, fixed by the bitstream.

Everything here is integer arithmetic on integers below 2**64: the same numbers on every machine.
Two families of symmetric distributions at 64 scales each, and explicit histograms; symbols are
integers, a table covers an interval of them, and every symbol of the interval has a frequency of at least 1. The families are
the Laplace and the logistic distribution integrated over unit bins; both follow from powers of
exp(-1 / (2 * scale)), whose 64 values are computed once, to 32 fractional bits, with the exact
rounding that `docs/bitstream.md` states.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal, localcontext
from enum import IntEnum
from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt

# Part of the bitstream.
PRECISION = 16
TOTAL = 1 << PRECISION
SCALES = 64
LARGEST_SYMBOL = 2047
_ONE = 1 << 32
_QUARTERS = (64, 76, 91, 108)  # 64 * 2**(i / 4), rounded


class Family(IntEnum):
    """Distribution families. Part of the bitstream; never reuse a number."""

    LAPLACE = 0
    LOGISTIC = 1
    HISTOGRAM = 2


def scale_value(index: int) -> float:
    """Scale of a table in quantisation steps: a quarter octave apart, from 1/16 upwards."""
    return float(2.0 ** (index / 4 - 4))


@lru_cache(maxsize=SCALES)
def decay(index: int) -> int:
    """exp(-1 / (2 * scale)) with 32 fractional bits, rounded to nearest.

    Args:
        index: Scale index, 0 to 63; the scale is 2**(index / 4 - 4).

    Returns:
        An integer in [0, 2**32).
    """
    # Decimal, not float: 40 digits leave no room for a platform's rounding to show.
    with localcontext(Context(prec=40)):
        scale = Decimal(2) ** (Decimal(index) / 4 - 4)
        return int((-1 / (2 * scale)).exp() * _ONE + Decimal("0.5"))


def _survival(family: Family, index: int, count: int) -> list[int]:
    """P(X > k + 1/2) with 32 fractional bits, for k = 0 .. count - 1."""
    half = decay(index)
    step = half * half >> 32
    power, tails = half, []
    for _ in range(count):
        if family is Family.LAPLACE:
            tails.append(power >> 1)
        else:
            tails.append((power << 32) // (_ONE + power))
        power = power * step >> 32
    return tails


@lru_cache(maxsize=4096)
def cumulative(family: Family, index: int, low: int, high: int) -> tuple[int, ...]:
    """Cumulative frequencies of the symbols `low` to `high`.

    Args:
        family: Distribution family.
        index: Scale index, 0 to 63.
        low: Smallest symbol, at least -2047.
        high: Largest symbol, at least `low`, at most 2047.

    Returns:
        `high - low + 2` integers from 0 to 65536, strictly increasing.
    """
    reach = max(abs(low), abs(high)) + 1
    tails = _survival(family, index, reach)
    masses = [_ONE - 2 * tails[0]] + [tails[k - 1] - tails[k] for k in range(1, reach)]
    masses = [masses[abs(symbol)] for symbol in range(low, high + 1)]
    return from_masses(masses)


def frequencies(family: Family, low: int, high: int) -> npt.NDArray[np.int64]:
    """What `cumulative` gives for every scale, as differences.

    Args:
        family: Distribution family.
        low: As for `cumulative`.
        high: As for `cumulative`.

    Returns:
        Shape (SCALES, high - low + 1), each row positive and with the sum 65536.
    """
    sizes = np.abs(np.arange(low, high + 1))
    masses = _all_masses(family, int(sizes.max()).bit_length())[:, sizes]
    whole = masses.sum(axis=1, keepdims=True)
    made: npt.NDArray[np.int64] = 1 + masses * (TOTAL - masses.shape[1]) // np.maximum(whole, 1)
    made[np.arange(SCALES), masses.argmax(axis=1)] += TOTAL - made.sum(axis=1)
    return made


@cache
def _all_masses(family: Family, octaves: int) -> npt.NDArray[np.int64]:
    """Masses of the sizes below 2**octaves with 32 fractional bits, at every scale."""
    tails = np.array([_survival(family, i, 1 << octaves) for i in range(SCALES)], np.int64)
    before = np.concatenate([_ONE - tails[:, :1], tails[:, :-1]], axis=1)
    masses: npt.NDArray[np.int64] = before - tails
    return masses


def histogram(exponents: Sequence[int]) -> tuple[int, ...]:
    """Cumulative frequencies of an explicit histogram.

    Args:
        exponents: One per symbol, 0 to 63: four times the base-2 logarithm of its relative
            frequency, plus a constant.

    Returns:
        As `cumulative`.
    """
    return from_masses([_QUARTERS[exponent % 4] << exponent // 4 for exponent in exponents])


def from_masses(masses: list[int]) -> tuple[int, ...]:
    """Scale non-negative masses to frequencies of at least 1 that sum to 65536.

    Args:
        masses: One per symbol, at most 65536 of them, each below 2**40.

    Returns:
        Cumulative frequencies, one more than there are masses. What rounding leaves over goes to
        the first symbol of largest mass.
    """
    whole = sum(masses)
    spare = TOTAL - len(masses)
    if whole == 0:
        frequencies = [1] * len(masses)
    else:
        frequencies = [1 + mass * spare // whole for mass in masses]
    frequencies[masses.index(max(masses))] += TOTAL - sum(frequencies)
    bounds = [0]
    for frequency in frequencies:
        bounds.append(bounds[-1] + frequency)
    return tuple(bounds)
