"""Looking for the quantisation step at which a segment has the wanted size or quality."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import log2

from nvcodec.config import DEFAULT_BPP, EncoderConfig
from nvcodec.entropy.coder.probability_tables import LARGEST_SYMBOL
from nvcodec.fitting.latentgrid.effort import Effort
from nvcodec.fitting.latentgrid.encode_pass import Outcome
from nvcodec.models.latentgrid.step_sizes import LARGEST_BASE, OFFSET_OCTAVE, STEP_OCTAVE, base_of

# What a band's coefficient can be per doubling: 128 levels from grey, and what filters overshoot.
_LARGEST_SAMPLE = 160
_OFFSET = STEP_OCTAVE // OFFSET_OCTAVE
_LARGEST_LEAP = 2.0  # octaves of the step
# How much a guess may be off, for what is then called reached: 3 % of the size, 0.15 dB, and for
# lmbda about 3 % of the size again.
_SIZE_TOLERANCE, _SIZE_AIM = log2(1.03), log2(1.01)
_PSNR_TOLERANCE, _PSNR_AIM = 0.15, 0.04
_LMBDA_TOLERANCE, _LMBDA_AIM = 0.06, 0.03


@dataclass(kw_only=True)
class StepSearch:
    """A search along the base of the steps.

    Attributes:
        measure: What is wanted of an outcome.
        target: Its wanted value.
        aim: Near enough to stop.
        tolerance: Near enough not to complain.
        slope: Expected change of the measure for an octave of the step.
        base: To try next.
        least: Of the bases that can be used.
        words: The target, for people.
        best: The nearest outcome so far.
    """

    measure: Callable[[Outcome], float]
    target: float
    aim: float
    tolerance: float
    slope: float
    base: int
    least: int
    words: str
    best: Outcome | None = None
    _distance: float = float("inf")
    _tried: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.base = max(self.base, self.least)

    def update(self, outcome: Outcome, *, comparable: bool) -> bool:
        """Take account of a pass, and move `base`.

        Args:
            outcome: Of the pass at `base`.
            comparable: Whether passes before this one differ from it in nothing but the base.

        Returns:
            True if it is near enough, or no other base is left to try.
        """
        missing = self.target - self.measure(outcome)
        distance = abs(missing)
        if distance <= self._distance:
            self.best, self._distance = outcome, distance
        if not comparable:
            self._tried.clear()
        # Where the target would lie from here, if the slope were as expected.
        leap = missing / self.slope
        self._tried[self.base] = leap
        base = min(max(round(self._next()), self.least), LARGEST_BASE)
        while base in self._tried and self.least < base < LARGEST_BASE:
            base += 1 if leap > 0 else -1
        self.base = base
        return distance <= self.aim or base in self._tried

    def _next(self) -> float:
        """The base to try next."""
        # Passes are a little noisy: no slopes are taken from them, only which side they are on.
        above = [(leap, base) for base, leap in self._tried.items() if leap >= 0]
        below = [(-leap, base) for base, leap in self._tried.items() if leap < 0]
        if above and below:
            (left, low), (right, high) = min(above), min(below)
            return low + (high - low) * left / max(left + right, 1e-9)
        _, base = min(((abs(leap), base) for base, leap in self._tried.items()))
        # Where the expected slope fell short before, it is trusted less.
        leap = self._tried[base] * 2.0 ** (len(self._tried) - 1)
        return base + STEP_OCTAVE * min(max(leap, -_LARGEST_LEAP), _LARGEST_LEAP)

    @property
    def reached(self) -> bool:
        """Whether the nearest outcome is near enough."""
        return self._distance <= self.tolerance


def search_for(
    config: EncoderConfig, bits: float | None, pixels: int, effort: Effort, scales: int
) -> StepSearch:
    """The search for what an encode wants of a segment.

    Args:
        config: Settings of the encode.
        bits: Wanted size of the payload, if a size is wanted.
        pixels: Pixels of the segment, over all frames.
        effort: Says what a bit costs.
        scales: How often luma is halved, which doubles the largest coefficient.
    """
    least = base_of(_LARGEST_SAMPLE * 2**scales / LARGEST_SYMBOL) - min(effort.offsets) * _OFFSET
    if config.psnr is not None:
        # The error of a rather coarse quantiser is about a sixth of its squared step.
        step = 255 * 10 ** (-config.psnr / 20) * 6**0.5
        return StepSearch(
            measure=lambda outcome: outcome.psnr,
            target=config.psnr,
            aim=_PSNR_AIM,
            tolerance=_PSNR_TOLERANCE,
            slope=-4.0,
            base=base_of(step),
            least=least,
            words=f"{config.psnr:g} dB",
        )
    if config.lmbda is not None:
        weight = effort.lagrangian

        def balance(outcome: Outcome) -> float:
            # A bit was spent wherever it took more than `weight` squared steps off the error.
            error = outcome.error * outcome.samples / pixels
            return log2(weight * outcome.coded.steps.base_step**2 / max(error, 1e-6))

        return StepSearch(
            measure=balance,
            target=log2(config.lmbda),
            aim=_LMBDA_AIM,
            tolerance=_LMBDA_TOLERANCE,
            slope=0.8,
            base=base_of(4.0 * config.lmbda**0.8),
            least=least,
            words=f"a lmbda of {config.lmbda:g}",
        )
    wanted = bits if bits is not None else DEFAULT_BPP * pixels
    return StepSearch(
        measure=lambda outcome: log2(8 * len(outcome.body)),
        target=log2(wanted),
        aim=_SIZE_AIM,
        tolerance=_SIZE_TOLERANCE,
        slope=-1.3,
        base=base_of(24 * (0.1 * pixels / wanted) ** 0.7),
        least=least,
        words=f"{wanted / 8:.0f} bytes",
    )
