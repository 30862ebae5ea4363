"""Keeping the best state of a fit, and coming back to it when the fit goes wrong.

Fits of this kind collapse now and then: a step too far, and every frame turns grey. A collapsed fit
does not recover by itself, so the last good state is restored and the learning rate halved.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from math import isfinite

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

# A squared error this many times the best seen is a collapse, not noise (3 dB).
_COLLAPSE = 2.0


class DivergenceGuard:
    """Watches one stage of a fit.

    Args:
        parameters: What the stage optimises; restored in place.
        error: Squared error a fit may have in its first epoch, halved: beyond it has collapsed.
        rate_scale: What an earlier stage had to lower the learning rate to.

    Attributes:
        rate_scale: Factor for the learning rate: halved by the first recovery, quartered by the
            second, and so on.
        recoveries: How often the best state was restored.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        error: float = float("inf"),
        rate_scale: float = 1.0,
    ) -> None:
        self._parameters = list(parameters)
        self._best: list[Tensor] = [p.detach().clone() for p in self._parameters]
        self._objective = float("inf")
        self._error = self._largest = error
        self._current = float("inf")
        self.rate_scale = rate_scale
        self.recoveries = 0

    @torch.no_grad()
    def check(self, objective: float, error: float, last: float = 0.0) -> bool:
        """Take stock after an epoch.

        Args:
            objective: Mean over the epoch of what decides which state is best; lower is better.
            error: Mean squared error over the epoch.
            last: Squared error of its last step: a short epoch can end in ruins.

        Returns:
            True if the best state was restored; the optimiser's moments are then stale.
        """
        worse = error > _COLLAPSE * self._error or last > _COLLAPSE * self._largest
        if worse or not (isfinite(objective) and isfinite(error)):
            self.restore()
            self.recoveries += 1
            self.rate_scale /= 2**self.recoveries
            logger.warning(
                "the fit collapsed (squared error %.3g after %.3g); back to its best state at "
                "%g of the learning rate",
                error,
                self._error,
                self.rate_scale,
            )
            return True
        self._current = objective
        if objective <= self._objective:
            self._objective, self._error = objective, min(error, self._error)
            for kept, parameter in zip(self._best, self._parameters, strict=True):
                kept.copy_(parameter)
        return False

    def reset_best(self) -> None:
        """Let whatever the next epoch reaches be the best so far: what is wanted has changed."""
        self._objective, self._error = float("inf"), self._largest

    @torch.no_grad()
    def restore(self) -> None:
        """Put the best state back."""
        for kept, parameter in zip(self._best, self._parameters, strict=True):
            parameter.copy_(kept)
        self._current = self._objective

    def finish(self) -> None:
        """End the stage in its best state."""
        if self._current > self._objective:
            self.restore()
