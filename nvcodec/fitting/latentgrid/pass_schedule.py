"""Schedule of the passes over a segment: progress, and what the time allowed still permits."""

from __future__ import annotations

import time
from collections.abc import Callable

from nvcodec.fitting.interface import FitProgress, FitTask
from nvcodec.fitting.latentgrid.effort import Effort
from nvcodec.fitting.latentgrid.encode_pass import PassResult

# Passes that a file usually takes: shares of the motion steps in two passes that estimate motion,
# then three passes that keep it.
USUAL = (1.0, 0.5, None, None, None)
# Cost of estimating motion and of one optimiser step of it, relative to a pass that keeps motion.
_ESTIMATION_COST, _MOTION_STEP_COST = 3.0, 0.5


class PassSchedule:
    """Keeps track of the passes of a fit.

    Args:
        task: The fit, with its time limit and progress callback.
        effort: The effort, which determines how long passes take.

    Attributes:
        passes: Number of finished passes.
    """

    def __init__(self, task: FitTask, effort: Effort) -> None:
        self._task, self._effort = task, effort
        self._began = time.monotonic()
        self.passes = 0
        self._files_left = len(task.bits)
        self._cost_done = 0.0  # relative to a pass that keeps motion
        self._remaining_passes = self._usual_passes()
        self._last_bits: float | None = None

    def progress_reporter(self, motion_steps: int | None) -> Callable[[int, float], None] | None:
        """Return the function to call after every layer of the next pass; None without a listener.

        Args:
            motion_steps: Optimiser steps for motion in that pass; None if it keeps its motion.
        """
        on_progress = self._task.on_progress
        if on_progress is None:
            return None
        cost = _pass_cost(motion_steps)
        frames = len(self._task.frames)

        def report(frames_done: int, psnr: float) -> None:
            cost_done = self._cost_done + cost * frames_done / frames
            cost_left = sum(map(_pass_cost, self._remaining_passes)) + cost * (
                1 - frames_done / frames
            )
            cost_left += (self._files_left - 1) * sum(map(_pass_cost, self._usual_passes()))
            seconds = time.monotonic() - self._began
            remaining = seconds * cost_left / cost_done
            if self._task.seconds is not None:
                remaining = min(remaining, max(self._task.seconds - seconds, 0.0))
            on_progress(
                FitProgress(
                    stage="motion" if motion_steps is not None else "steps",
                    epoch=self.passes + (frames_done == frames),
                    epochs=self.passes
                    + 1
                    + len(self._remaining_passes)
                    + (self._files_left - 1) * len(self._usual_passes()),
                    psnr=psnr,
                    bits=self._last_bits,
                    seconds=seconds,
                    remaining=remaining,
                )
            )

        if self._remaining_passes:
            self._remaining_passes = self._remaining_passes[1:]
        return report

    def record_pass(self, result: PassResult, motion_steps: int | None) -> None:
        """Count a finished pass.

        Args:
            result: Its result.
            motion_steps: Optimiser steps for motion that it took; None if it kept its motion.
        """
        self.passes += 1
        self._cost_done += _pass_cost(motion_steps)
        self._last_bits = 8.0 * len(result.body)

    def start_next_file(self) -> None:
        """Go on to the next file of a ladder."""
        self._files_left -= 1
        self._remaining_passes = self._usual_passes()

    def affordable_motion_steps(self, motion_steps: int) -> int:
        """Return how many optimiser steps for motion the time permits, at most `motion_steps`."""
        seconds = self._task.seconds
        if seconds is None:
            return motion_steps
        if not self._cost_done:
            # The first pass measures the speed of this machine, so it is kept short.
            return min(motion_steps, 4)
        seconds_per_cost = (time.monotonic() - self._began) / self._cost_done
        seconds_left = max(seconds - (time.monotonic() - self._began), 0.0) / self._files_left
        # This pass gets half of the time left, because others follow.
        return int(
            min(
                max(
                    (seconds_left / 2 / seconds_per_cost - _ESTIMATION_COST) / _MOTION_STEP_COST, 0
                ),
                motion_steps,
            )
        )

    def allows_another(self, motion_steps: int | None) -> bool:
        """Return whether there is time for another pass.

        Args:
            motion_steps: Optimiser steps for motion in that pass; None if it keeps its motion.
        """
        if self._task.seconds is None:
            return True
        elapsed = time.monotonic() - self._began
        return elapsed + _pass_cost(motion_steps) * elapsed / self._cost_done < self._task.seconds

    def _usual_passes(self) -> list[int | None]:
        """Return the optimiser steps for motion in the usual passes over a file."""
        steps = self._effort.motion_steps
        if not self._effort.refine:
            return [steps, None, None]
        return [None if share is None else int(share * steps) for share in USUAL]


def _pass_cost(motion_steps: int | None) -> float:
    """Return the cost of a pass relative to one that keeps its motion."""
    return 1.0 if motion_steps is None else _ESTIMATION_COST + _MOTION_STEP_COST * motion_steps
