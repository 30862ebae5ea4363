"""Schedule of the passes over a segment: progress, and what the time allowed still permits."""

from __future__ import annotations

import time
from collections.abc import Callable

from nvcodec.fitting.interface import FitProgress, FitTask
from nvcodec.fitting.latentgrid.effort import Effort
from nvcodec.fitting.latentgrid.encode_pass import PassResult

# Whether the passes that a file usually takes search for motion.
USUAL = (True, True, False, False, False)
# Cost of a pass that searches for motion, relative to one that keeps it.
_SEARCH_COST = 3.0


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

    def progress_reporter(self, *, estimates_motion: bool) -> Callable[[int, float], None] | None:
        """Return the function to call after every layer of the next pass; None without a listener.

        Args:
            estimates_motion: Whether that pass searches for motion.
        """
        on_progress = self._task.on_progress
        if on_progress is None:
            return None
        cost = _pass_cost(estimates_motion)
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
                    stage="motion" if estimates_motion else "steps",
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

    def record_pass(self, result: PassResult, *, estimates_motion: bool) -> None:
        """Count a finished pass.

        Args:
            result: Its result.
            estimates_motion: Whether it searched for motion.
        """
        self.passes += 1
        self._cost_done += _pass_cost(estimates_motion)
        self._last_bits = 8.0 * len(result.body)

    def start_next_file(self) -> None:
        """Go on to the next file of a ladder."""
        self._files_left -= 1
        self._remaining_passes = self._usual_passes()

    def allows_another(self, *, estimates_motion: bool) -> bool:
        """Return whether there is time for another pass.

        Args:
            estimates_motion: Whether that pass searches for motion.
        """
        if self._task.seconds is None:
            return True
        elapsed = time.monotonic() - self._began
        return (
            elapsed + _pass_cost(estimates_motion) * elapsed / self._cost_done < self._task.seconds
        )

    def _usual_passes(self) -> list[bool]:
        """Return whether the usual passes over a file search for motion."""
        return list(USUAL) if self._effort.refine else [True, False, False]


def _pass_cost(estimates_motion: bool) -> float:
    """Return the cost of a pass relative to one that keeps its motion."""
    return _SEARCH_COST if estimates_motion else 1.0
