"""Search for the quantisation step at which a segment has the target size, quality or `lmbda`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from math import log2

from nvcodec.config import DEFAULT_BPP, EncoderConfig
from nvcodec.entropy.coder.probability_tables import LARGEST_SYMBOL
from nvcodec.fitting.latentgrid.effort import Effort
from nvcodec.fitting.latentgrid.encode_pass import PassResult
from nvcodec.models.latentgrid.step_sizes import (
    LARGEST_BASE,
    OFFSET_OCTAVE,
    STEP_OCTAVE,
    base_index,
)

# Largest coefficient of a plane that is not halved: 128 8-bit levels from grey, and overshoot.
_LARGEST_SAMPLE = 160
_OFFSET = STEP_OCTAVE // OFFSET_OCTAVE
_LARGEST_LEAP = 2.0  # octaves of the step
# Distance up to which a target counts as reached (3 % of the size, 0.15 dB, for lmbda again about
# 3 % of the size), and smaller distance at which the search ends.
_SIZE_TOLERANCE, _SIZE_AIM = log2(1.03), log2(1.01)
_PSNR_TOLERANCE, _PSNR_AIM = 0.15, 0.04
_LMBDA_TOLERANCE, _LMBDA_AIM = 0.06, 0.03


@dataclass(kw_only=True)
class StepSearch:
    """A search along the base index of the quantisation steps.

    Attributes:
        measure: Returns the measured quantity of a result.
        target: Its target value.
        aim: Distance to the target at which the search ends.
        tolerance: Distance to the target up to which it counts as reached.
        slope: Expected change of the measure per octave of the step.
        base: Base index of the next pass.
        min_base: Smallest base index that can be used.
        target_text: The target in words, for messages.
        best: The nearest result so far.
    """

    measure: Callable[[PassResult], float]
    target: float
    aim: float
    tolerance: float
    slope: float
    base: int
    min_base: int
    target_text: str
    best: PassResult | None = None
    _distance: float = float("inf")
    _tried: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.base = max(self.base, self.min_base)

    def update(self, result: PassResult, *, comparable: bool) -> bool:
        """Record a pass, and choose the next `base`.

        Args:
            result: Result of the pass at `base`.
            comparable: Whether earlier passes differ from it in nothing but the base.

        Returns:
            True if it is near enough, or no other base is left to try.
        """
        shortfall = self.target - self.measure(result)
        distance = abs(shortfall)
        if distance <= self._distance:
            self.best, self._distance = result, distance
        if not comparable:
            self._tried.clear()
        # Distance to the target in octaves of the step, if the slope is as expected.
        leap = shortfall / self.slope
        self._tried[self.base] = leap
        base = min(max(round(self._next_base()), self.min_base), LARGEST_BASE)
        while base in self._tried and self.min_base < base < LARGEST_BASE:
            base += 1 if leap > 0 else -1
        self.base = base
        return distance <= self.aim or base in self._tried

    def _next_base(self) -> float:
        """Return the next base to try, not yet limited to the valid range."""
        # Passes are a little noisy: slopes are not derived from them, only brackets.
        # Nor need they be monotonic: a bracket is a pair of neighbours.
        brackets = [
            (low, high)
            for low, high in pairwise(sorted(self._tried.items()))
            if low[1] >= 0 > high[1]
        ]
        if brackets:
            (low, left), (high, right) = min(brackets, key=lambda pair: pair[0][1] - pair[1][1])
            return low + (high - low) * left / max(left - right, 1e-9)
        _, base = min(((abs(leap), base) for base, leap in self._tried.items()))
        # Each earlier pass on the same side doubles the leap, as the slope was overestimated.
        leap = self._tried[base] * 2.0 ** (len(self._tried) - 1)
        return base + STEP_OCTAVE * min(max(leap, -_LARGEST_LEAP), _LARGEST_LEAP)

    @property
    def reached(self) -> bool:
        """Whether the nearest result is near enough."""
        return self._distance <= self.tolerance


def search_for(
    config: EncoderConfig, bits: float | None, pixels: int, effort: Effort, scales: int
) -> StepSearch:
    """Return the search for what an encode asks of a segment.

    Args:
        config: Settings of the encode.
        bits: Target size of the payload, if a size is asked for.
        pixels: Number of pixels of the segment, over all frames.
        effort: The effort, which determines the cost of a bit.
        scales: Number of wavelet scales of luma; each doubles the largest coefficient.
    """
    min_base = (
        base_index(_LARGEST_SAMPLE * 2**scales / LARGEST_SYMBOL) - min(effort.offsets) * _OFFSET
    )
    if config.psnr is not None:
        # The mean squared error of a rather coarse quantiser is about a sixth of its squared step.
        step = 255 * 10 ** (-config.psnr / 20) * 6**0.5
        return StepSearch(
            measure=lambda result: result.psnr,
            target=config.psnr,
            aim=_PSNR_AIM,
            tolerance=_PSNR_TOLERANCE,
            slope=-4.0,
            base=base_index(step),
            min_base=min_base,
            target_text=f"{config.psnr:g} dB",
        )
    if config.lmbda is not None:
        lagrangian = effort.lagrangian

        def log2_lmbda(result: PassResult) -> float:
            # RDOQ spends a bit where that takes more than `lagrangian` squared steps off the error.
            error = result.error * result.samples / pixels
            return log2(lagrangian * result.coded.steps.base_step**2 / max(error, 1e-6))

        return StepSearch(
            measure=log2_lmbda,
            target=log2(config.lmbda),
            aim=_LMBDA_AIM,
            tolerance=_LMBDA_TOLERANCE,
            slope=0.8,
            base=base_index(4.0 * config.lmbda**0.8),
            min_base=min_base,
            target_text=f"a lmbda of {config.lmbda:g}",
        )
    target_bits = bits if bits is not None else DEFAULT_BPP * pixels
    return StepSearch(
        measure=lambda result: log2(8 * len(result.body)),
        target=log2(target_bits),
        aim=_SIZE_AIM,
        tolerance=_SIZE_TOLERANCE,
        slope=-1.3,
        base=base_index(24 * (0.1 * pixels / target_bits) ** 0.7),
        min_base=min_base,
        target_text=f"{target_bits / 8:.0f} bytes",
    )
