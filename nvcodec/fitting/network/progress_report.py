"""Counts the epochs of a fit, and reports its progress."""

from __future__ import annotations

import time
from collections.abc import Callable

from nvcodec.fitting.interface import FitProgress


class ProgressReporter:
    """Reports the progress of a fit after each of its epochs.

    Args:
        epochs: Planned number of epochs, over all stages.
        seconds: Time limit of the fit in seconds, None for no limit.
        on_progress: Callback for the reports; None for no reports.

    Attributes:
        epochs: Planned number of epochs, over all stages.
        epoch: Number of epochs done, which the training loop counts up.
    """

    def __init__(
        self,
        epochs: int,
        seconds: float | None,
        on_progress: Callable[[FitProgress], None] | None,
    ) -> None:
        self.epochs, self.epoch = epochs, 0
        self._seconds, self._on_progress = seconds, on_progress
        self._began = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the fit began."""
        return time.monotonic() - self._began

    @property
    def time_left(self) -> float | None:
        """Seconds that are left of the time limit, at least 0; None for no limit."""
        return None if self._seconds is None else max(self._seconds - self.elapsed, 0.0)

    def report(self, stage: str, psnr: float, bits: float | None, *, finished: bool) -> None:
        """Report the epoch that has just ended.

        Args:
            stage: Name of its stage.
            psnr: PSNR of its outputs in dB.
            bits: Estimated size in bits; None if there is no estimate.
            finished: Whether it was the last epoch of the fit.
        """
        if self._on_progress is None:
            return
        elapsed = self.elapsed
        remaining = elapsed / self.epoch * max(self.epochs - self.epoch, 0)
        if self._seconds is not None:
            remaining = min(remaining, max(self._seconds - elapsed, 0.0))
        self._on_progress(
            FitProgress(
                stage=stage,
                epoch=self.epoch,
                epochs=self.epochs,
                psnr=psnr,
                bits=bits,
                seconds=elapsed,
                remaining=0.0 if finished else remaining,
            )
        )
