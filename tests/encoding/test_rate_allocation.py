"""Rate allocation: the targets of segments add up to the size of the file."""

from __future__ import annotations

import numpy as np
import pytest

from nvcodec.config import EncoderConfig
from nvcodec.encoding.rate_allocation import RateBudget


def relative_size(
    config: EncoderConfig, total: int, misses: list[float], length: int = 10
) -> float:
    """Return the size of a file over its target size.

    Args:
        config: Settings with a target size.
        total: Number of frames of the video.
        misses: Relative errors of the sizes of its segments.
        length: Number of frames of a segment.
    """
    budget, size = RateBudget(config, total, 1), 120.0
    for number, miss in enumerate(misses):
        target_bits = budget.bits(number, number * length, length, 1000)
        payload = round(target_bits / 8 * (1 + miss))
        budget.spend(length, 1000, payload)
        size += payload + 40
    return size / config.size


@pytest.mark.parametrize("seed", range(5))
def test_errors_of_fits_add_up_to_little(seed):
    misses = np.random.default_rng(seed).uniform(-0.01, 0.01, 30).tolist()
    assert relative_size(EncoderConfig(size=300_000), 300, misses) == pytest.approx(1, abs=0.002)


@pytest.mark.parametrize(
    ("misses", "off"),
    [
        (10 * [0.01], 0.0051),
        ([-0.99, -0.99] + 8 * [0.0], 0.001),  # a black beginning leaves all to the rest
        ([1.0] + 9 * [0.0], 0.001),
        (5 * [0.0, 0.3], 0.031),
    ],
)
def test_larger_errors_are_compensated(misses, off):
    assert relative_size(EncoderConfig(size=100_000), 100, misses) == pytest.approx(1, abs=off)


def test_targets_are_known_before_earlier_segments_are_finished():
    budget = RateBudget(EncoderConfig(size=100_000), 100, 1)
    predicted = [budget.bits(n, 10 * n, 10, 1000) for n in range(10)]
    assert len(set(predicted)) == 1
    for number, bits in enumerate(predicted):
        assert budget.bits(number, 10 * number, 10, 1000) == bits
        budget.spend(10, 1000, round(bits / 8 * (1.004 if number % 2 else 0.997)))


def test_the_first_guess_for_a_psnr_is_the_rate_of_an_earlier_segment():
    budget = RateBudget(EncoderConfig(model="hnerv", psnr=30.0), 100, 1)
    assert budget.is_ready(0) and not budget.is_ready(1)
    budget.spend(10, 1000, 500)
    assert all(budget.is_ready(number) for number in range(17)) and not budget.is_ready(17)
    assert budget.bits(16, 160, 10, 2000) == 8000.0
    assert budget.bits(16, 160, 10, 2000, previous_bpp=1.0) == 2000.0
    budget.spend(10, 1000, 1)
    assert budget.bits(17, 170, 10, 1000) == 25.0
    assert RateBudget(EncoderConfig(psnr=30.0), 100, 1).is_ready(9)  # latentgrid needs no guess
