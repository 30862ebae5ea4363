"""Where the fit of a segment of `latentgrid` stands, and what the time allowed still permits."""

from __future__ import annotations

import time
from collections.abc import Callable

from nvcodec.fitting.interface import FitProgress, FitTask
from nvcodec.fitting.latentgrid.effort import Effort
from nvcodec.fitting.latentgrid.encode_pass import Outcome

# Passes that a file usually takes: two with a search for motion, three without.
USUAL = (1.0, 0.5, None, None, None)
# What a pass takes, in units of one that keeps its motion: a search, and a step of it.
_SEARCH_COST, _STEP_COST = 3.0, 0.5


class PassSchedule:
    """The passes of a fit, as they go by.

    Args:
        task: Says how much time there is, and who is told.
        effort: Says how long passes are.

    Attributes:
        passes: Finished so far.
    """

    def __init__(self, task: FitTask, effort: Effort) -> None:
        self._task, self._effort = task, effort
        self._began = time.monotonic()
        self.passes = 0
        self._files_left = len(task.bits)
        self._done = 0.0  # in units of a pass that keeps its motion
        self._ahead = self._usual_passes()
        self._bits: float | None = None

    def reporter(self, motion_steps: int | None) -> Callable[[int, float], None] | None:
        """What is to be told of every level of the next pass."""
        on_progress = self._task.on_progress
        if on_progress is None:
            return None
        cost = _cost(motion_steps)
        frames = len(self._task.frames)

        def report(done: int, psnr: float) -> None:
            units = self._done + cost * done / frames
            left = sum(map(_cost, self._ahead)) + cost * (1 - done / frames)
            left += (self._files_left - 1) * sum(map(_cost, self._usual_passes()))
            seconds = time.monotonic() - self._began
            remaining = seconds * left / units
            if self._task.seconds is not None:
                remaining = min(remaining, max(self._task.seconds - seconds, 0.0))
            on_progress(
                FitProgress(
                    stage="motion" if motion_steps is not None else "steps",
                    epoch=self.passes + (done == frames),
                    epochs=self.passes
                    + 1
                    + len(self._ahead)
                    + (self._files_left - 1) * len(self._usual_passes()),
                    psnr=psnr,
                    bits=self._bits,
                    seconds=seconds,
                    remaining=remaining,
                )
            )

        if self._ahead:
            self._ahead = self._ahead[1:]
        return report

    def finished(self, outcome: Outcome, motion_steps: int | None) -> None:
        """Count a pass."""
        self.passes += 1
        self._done += _cost(motion_steps)
        self._bits = 8.0 * len(outcome.body)

    def file_finished(self) -> None:
        """Go on to the next file of a ladder."""
        self._files_left -= 1
        self._ahead = self._usual_passes()

    def affordable(self, motion_steps: int) -> int:
        """At most so many steps of gradient descent, fewer if time is short."""
        seconds = self._task.seconds
        if seconds is None:
            return motion_steps
        if not self._done:
            # How fast this machine is shows in a first pass, which had better be short.
            return min(motion_steps, 4)
        unit = (time.monotonic() - self._began) / self._done
        left = max(seconds - (time.monotonic() - self._began), 0.0) / self._files_left
        # Half of what is left is for this pass, as others follow.
        return int(min(max((left / 2 / unit - _SEARCH_COST) / _STEP_COST, 0), motion_steps))

    def allows_another(self, motion_steps: int | None) -> bool:
        """Whether there is time for another pass."""
        if self._task.seconds is None:
            return True
        spent = time.monotonic() - self._began
        return spent + _cost(motion_steps) * spent / self._done < self._task.seconds

    def _usual_passes(self) -> list[int | None]:
        steps = self._effort.motion_steps
        if not self._effort.refine:
            return [steps, None, None]
        return [None if share is None else int(share * steps) for share in USUAL]


def _cost(motion_steps: int | None) -> float:
    return 1.0 if motion_steps is None else _SEARCH_COST + _STEP_COST * motion_steps
