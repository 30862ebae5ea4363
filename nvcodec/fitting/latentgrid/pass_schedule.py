"""Schedule of the passes over a segment: progress, and what the time allowed still permits."""

from __future__ import annotations

import time
from collections.abc import Callable

from nvcodec.fitting.interface import FitProgress, FitTask
from nvcodec.fitting.latentgrid.effort import Effort
from nvcodec.fitting.latentgrid.encode_pass import PassResult
from nvcodec.fitting.latentgrid.motion_search.work import MotionWork

# Passes over a file that work on motion, and number of those that usually follow.
MOTION_PASSES = (MotionWork.SEARCH, MotionWork.REFINE)
_USUAL_STEP_PASSES = (3, 2)  # after both, after the first one alone


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
        self._remaining_costs = self._usual_costs()
        self._last_bits: float | None = None

    def progress_reporter(self, work: MotionWork) -> Callable[[int, float], None] | None:
        """Return the function to call after every layer of the next pass; None without a listener.

        Args:
            work: What that pass does about motion.
        """
        on_progress = self._task.on_progress
        if on_progress is None:
            return None
        cost = work.value
        frames = len(self._task.frames)

        def report(frames_done: int, psnr: float) -> None:
            cost_done = self._cost_done + cost * frames_done / frames
            cost_left = sum(self._remaining_costs) + cost * (1 - frames_done / frames)
            cost_left += (self._files_left - 1) * sum(self._usual_costs())
            seconds = time.monotonic() - self._began
            remaining = seconds * cost_left / cost_done
            if self._task.seconds is not None:
                remaining = min(remaining, max(self._task.seconds - seconds, 0.0))
            on_progress(
                FitProgress(
                    stage="steps" if work is MotionWork.KEEP else "motion",
                    epoch=self.passes + (frames_done == frames),
                    epochs=self.passes
                    + 1
                    + len(self._remaining_costs)
                    + (self._files_left - 1) * len(self._usual_costs()),
                    psnr=psnr,
                    bits=self._last_bits,
                    seconds=seconds,
                    remaining=remaining,
                )
            )

        if self._remaining_costs:
            self._remaining_costs = self._remaining_costs[1:]
        return report

    def record_pass(self, result: PassResult, work: MotionWork) -> None:
        """Count a finished pass.

        Args:
            result: Its result.
            work: What it did about motion.
        """
        self.passes += 1
        self._cost_done += work.value
        self._last_bits = 8.0 * len(result.body)

    def start_next_file(self) -> None:
        """Go on to the next file of a ladder."""
        self._files_left -= 1
        self._remaining_costs = self._usual_costs()

    def allows_another(self, work: MotionWork) -> bool:
        """Return whether there is time for another pass.

        Args:
            work: What that pass does about motion.
        """
        if self._task.seconds is None:
            return True
        elapsed = time.monotonic() - self._began
        return elapsed + work.value * elapsed / self._cost_done < self._task.seconds

    def _usual_costs(self) -> list[float]:
        """Return the costs of the usual passes over a file."""
        passes = MOTION_PASSES if self._effort.refine else MOTION_PASSES[:1]
        keep = [MotionWork.KEEP.value] * _USUAL_STEP_PASSES[0 if self._effort.refine else 1]
        return [work.value for work in passes] + keep
