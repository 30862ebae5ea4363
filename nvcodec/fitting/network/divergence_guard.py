"""Keeps the best state of a fit, and restores it when the fit diverges.

Fits of video networks collapse now and then: after one step that is too large, every frame turns
grey. A collapsed fit does not recover by itself, so the best state is restored and the learning
rate is lowered.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from math import isfinite

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

# An epoch with this many times the best squared error is a collapse, not noise (3 dB).
_COLLAPSE = 2.0


class DivergenceGuard:
    """Detects and undoes divergence in one stage of a fit.

    Args:
        parameters: Tensors that the stage optimises; they are restored in place.
        error: Best squared error assumed before the first epoch: the first epoch counts as
            collapsed if its squared error is more than twice this value.
        rate_scale: Factor for the learning rate that an earlier stage ended with.

    Attributes:
        rate_scale: Factor for the learning rate. The first recovery halves it, the second divides
            it by 4, and so on.
        recoveries: Number of times the best state was restored.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        error: float = float("inf"),
        rate_scale: float = 1.0,
    ) -> None:
        self._parameters = list(parameters)
        self._best: list[Tensor] = [p.detach().clone() for p in self._parameters]
        self._best_objective = float("inf")
        self._best_error = self._initial_error = error
        self._last_objective = float("inf")
        self.rate_scale = rate_scale
        self.recoveries = 0

    @torch.no_grad()
    def check(self, objective: float, error: float, last: float = 0.0) -> bool:
        """Check an epoch; keep its state if it is the best one, restore the best if it diverged.

        Args:
            objective: Mean over the epoch of the objective that ranks states; lower is better.
            error: Mean squared error over the epoch.
            last: Squared error of the last step. The mean of a short epoch can hide a collapse at
                its end.

        Returns:
            True if the best state was restored; the optimiser's moments are then stale.
        """
        collapsed = error > _COLLAPSE * self._best_error or last > _COLLAPSE * self._initial_error
        if collapsed or not (isfinite(objective) and isfinite(error)):
            self.restore()
            self.recoveries += 1
            self.rate_scale /= 2**self.recoveries
            logger.warning(
                "the fit collapsed (squared error %.3g after %.3g); back to its best state at "
                "%g of the learning rate",
                error,
                self._best_error,
                self.rate_scale,
            )
            return True
        self._last_objective = objective
        if objective <= self._best_objective:
            self._best_objective, self._best_error = objective, min(error, self._best_error)
            for best, parameter in zip(self._best, self._parameters, strict=True):
                best.copy_(parameter)
        return False

    def reset_best(self) -> None:
        """Forget the best objective, so that the next epoch becomes the best one.

        The objectives of earlier epochs do not compare with later ones if the target has changed.
        """
        self._best_objective, self._best_error = float("inf"), self._initial_error

    @torch.no_grad()
    def restore(self) -> None:
        """Restore the best state."""
        for best, parameter in zip(self._best, self._parameters, strict=True):
            parameter.copy_(best)
        self._last_objective = self._best_objective

    def finish(self) -> None:
        """Restore the best state at the end of the stage, unless it is the present one."""
        if self._last_objective > self._best_objective:
            self.restore()
