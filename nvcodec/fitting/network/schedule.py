"""The progress of a stage, and the learning rate at that progress.

Progress is the share of the planned steps or of the time limit, whichever is larger. A fit that the
time limit ends thus reaches a learning rate of zero too.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from math import cos, pi


class StageClock:
    """Counts the steps and seconds of a stage.

    Args:
        steps: Planned number of steps.
        seconds: Time limit in seconds, None for no limit.

    Attributes:
        steps: Planned number of steps, at least 1.
        step: Number of steps taken, which the training loop counts up.
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
        """Progress in [0, 1]. The time limit applies after the first step."""
        done = self.step / self.steps
        if self._seconds is not None and self.step:
            done = max(done, self.elapsed / max(self._seconds, 1e-9))
        return min(done, 1.0)

    def finished(self) -> bool:
        """Whether the stage is over."""
        return self.fraction >= 1.0


@dataclass(frozen=True, slots=True)
class LearningRateSchedule:
    """A learning rate schedule: linear warm-up, then a half cosine to zero.

    Attributes:
        peak: Largest learning rate.
        warmup: Share of the schedule that warms up, in [0, 1).
        start: Learning rate at the beginning of the warm-up, as a share of the peak.
        begin: Position on the schedule at which the stage begins, in [0, 1].
        end: Position on the schedule at which the stage ends, in [0, 1].
    """

    peak: float
    warmup: float
    start: float
    begin: float = 0.0
    end: float = 1.0

    def at(self, fraction: float) -> float:
        """Return the learning rate as a share of the peak.

        Args:
            fraction: Progress of the stage in [0, 1].
        """
        position = self.begin + (self.end - self.begin) * fraction
        if position < self.warmup:
            return self.start + (1 - self.start) * position / self.warmup
        return 0.5 * (1 + cos(pi * (position - self.warmup) / (1 - self.warmup)))

    def part(self, begin: float, end: float) -> LearningRateSchedule:
        """Return this schedule for a stage that covers the part from `begin` to `end` of it."""
        return replace(self, begin=begin, end=end)
