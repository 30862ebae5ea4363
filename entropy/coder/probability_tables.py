"""Integer probability tables, fixed by the bitstream.

All arithmetic is on integers below 2**64 and gives the same numbers on every machine. There are two
families of symmetric distributions at 64 scales each, and explicit histograms. Symbols are
integers. A table covers an interval of them, and every symbol of the interval has a frequency of at
least 1.

The families are the Laplace and the logistic distribution, integrated over unit bins. Both follow
from powers of exp(-1 / (2 * scale)), whose 64 values are computed once, to 32 fractional bits, with
the exact rounding that `docs/bitstream.md` states.
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


class DistributionFamily(IntEnum):
    """Families of distributions. Part of the bitstream; never reuse a number."""

    LAPLACE = 0
    LOGISTIC = 1
    HISTOGRAM = 2


def scale_value(index: int) -> float:
    """Return the scale of a table in quantisation steps.

    Args:
        index: Scale index, 0 to 63. Scales are a quarter octave apart, from 1/16 upwards.
    """
    return float(2.0 ** (index / 4 - 4))


@lru_cache(maxsize=SCALES)
def decay(index: int) -> int:
    """Return exp(-1 / (2 * scale)) with 32 fractional bits, rounded to nearest.

    Args:
        index: Scale index, 0 to 63; the scale is 2**(index / 4 - 4).

    Returns:
        An integer in [0, 2**32).
    """
    # Decimal arithmetic with 40 digits, because floats may round differently on other platforms.
    with localcontext(Context(prec=40)):
        scale = Decimal(2) ** (Decimal(index) / 4 - 4)
        return int((-1 / (2 * scale)).exp() * _ONE + Decimal("0.5"))


def _survival(family: DistributionFamily, index: int, count: int) -> list[int]:
    """Return P(X > k + 1/2) with 32 fractional bits, for k = 0 .. count - 1."""
    half_step_decay = decay(index)
    step_decay = half_step_decay * half_step_decay >> 32
    power, survival = half_step_decay, []
    for _ in range(count):
        if family is DistributionFamily.LAPLACE:
            survival.append(power >> 1)
        else:
            survival.append((power << 32) // (_ONE + power))
        power = power * step_decay >> 32
    return survival


@lru_cache(maxsize=4096)
def cumulative(family: DistributionFamily, index: int, low: int, high: int) -> tuple[int, ...]:
    """Return the cumulative frequencies of the symbols `low` to `high`.

    Args:
        family: Laplace or logistic.
        index: Scale index, 0 to 63.
        low: Smallest symbol, at least -2047.
        high: Largest symbol, at least `low`, at most 2047.

    Returns:
        `high - low + 2` integers from 0 to 65536, strictly increasing.
    """
    count = max(abs(low), abs(high)) + 1
    survival = _survival(family, index, count)
    masses = [_ONE - 2 * survival[0]] + [survival[k - 1] - survival[k] for k in range(1, count)]
    masses = [masses[abs(symbol)] for symbol in range(low, high + 1)]
    return from_masses(masses)


def frequencies(family: DistributionFamily, low: int, high: int) -> npt.NDArray[np.int64]:
    """Return the frequencies of the symbols `low` to `high` at every scale.

    Args:
        family: Laplace or logistic.
        low: Smallest symbol, at least -2047.
        high: Largest symbol, at least `low`, at most 2047.

    Returns:
        Shape (SCALES, high - low + 1): the differences of what `cumulative` returns, each row
            positive and with the sum 65536.
    """
    magnitudes = np.abs(np.arange(low, high + 1))
    masses = _all_masses(family, int(magnitudes.max()).bit_length())[:, magnitudes]
    total = masses.sum(axis=1, keepdims=True)
    table: npt.NDArray[np.int64] = 1 + masses * (TOTAL - masses.shape[1]) // np.maximum(total, 1)
    table[np.arange(SCALES), masses.argmax(axis=1)] += TOTAL - table.sum(axis=1)
    return table


@cache
def _all_masses(family: DistributionFamily, octaves: int) -> npt.NDArray[np.int64]:
    """Return masses of the magnitudes below 2**octaves with 32 fractional bits, at every scale."""
    survival = np.array([_survival(family, i, 1 << octaves) for i in range(SCALES)], np.int64)
    upper = np.concatenate([_ONE - survival[:, :1], survival[:, :-1]], axis=1)
    masses: npt.NDArray[np.int64] = upper - survival
    return masses


def histogram(exponents: Sequence[int]) -> tuple[int, ...]:
    """Return the cumulative frequencies of an explicit histogram.

    Args:
        exponents: One for each symbol, 0 to 63: four times the base-2 logarithm of its relative
            frequency, plus a constant.

    Returns:
        Integers from 0 to 65536, strictly increasing, one more than there are exponents.
    """
    return from_masses([_QUARTERS[exponent % 4] << exponent // 4 for exponent in exponents])


def from_masses(masses: list[int]) -> tuple[int, ...]:
    """Scale non-negative masses to frequencies of at least 1 that sum to 65536.

    Args:
        masses: One for each symbol, at most 65536 of them, each below 2**40.

    Returns:
        Cumulative frequencies, one more than there are masses. The remainder from rounding goes to
        the first symbol of largest mass.
    """
    total = sum(masses)
    to_share = TOTAL - len(masses)
    if total == 0:
        frequencies = [1] * len(masses)
    else:
        frequencies = [1 + mass * to_share // total for mass in masses]
    frequencies[masses.index(max(masses))] += TOTAL - sum(frequencies)
    bounds = [0]
    for frequency in frequencies:
        bounds.append(bounds[-1] + frequency)
    return tuple(bounds)
