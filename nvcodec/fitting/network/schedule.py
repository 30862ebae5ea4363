"""How far a fit has come, and the learning rate that goes with it.

Progress is a fraction of the planned steps or of the time allowed, whichever is further: a fit cut
short by the clock still ends with its learning rate at zero, as one that runs its course.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from math import cos, pi


class StageClock:
    """Counts steps and seconds towards the end of a stage.

    Args:
        steps: Planned steps, at least 1.
        seconds: Time allowed, None for no limit.
    """

    def __init__(self, steps: int, seconds: float | None) -> None:
        self.steps = max(steps, 1)
        self.step = 0
        self._seconds = seconds
        self._began = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the stage began."""
        return time.monotonic() - self._began

    @property
    def fraction(self) -> float:
        """Progress in [0, 1]; at least one step is always taken."""
        done = self.step / self.steps
        if self._seconds is not None and self.step:
            done = max(done, self.elapsed / max(self._seconds, 1e-9))
        return min(done, 1.0)

    def finished(self) -> bool:
        """No further step is due."""
        return self.fraction >= 1.0


@dataclass(frozen=True, slots=True)
class LearningRateSchedule:
    """A learning rate: linear warm-up, then a half cosine to zero.

    Attributes:
        peak: Largest learning rate.
        warmup: Share of the whole spent warming up, in [0, 1).
        start: Learning rate at the beginning, as a share of the peak.
        begin: Where on the whole a stage begins, in [0, 1].
        end: Where it ends.
    """

    peak: float
    warmup: float
    start: float
    begin: float = 0.0
    end: float = 1.0

    def at(self, fraction: float) -> float:
        """Learning rate as a share of the peak, at a stage's progress in [0, 1]."""
        whole = self.begin + (self.end - self.begin) * fraction
        if whole < self.warmup:
            return self.start + (1 - self.start) * whole / self.warmup
        return 0.5 * (1 + cos(pi * (whole - self.warmup) / (1 - self.warmup)))

    def part(self, begin: float, end: float) -> LearningRateSchedule:
        """The same schedule, for a stage that covers only part of it."""
        return replace(self, begin=begin, end=end)
