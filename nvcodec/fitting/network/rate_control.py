"""Steering the quantised stage of a fit to a wanted size.

Two things move: all quantisation steps together, at once, and the weight of the rate, slowly. The
size that is aimed at falls from what the float stage left to the wanted one over the first quarter,
as a network that loses two thirds of its bits in one step does not recover from it. Estimates are
scaled by what a real encode of the same state takes, so that little is left to be corrected at the
end: a correction afterwards, without fitting, costs more quality than any size is worth.
"""

from __future__ import annotations

from torch import Tensor

from nvcodec.config import FitConfig
from nvcodec.fitting.network.stages import QuantisedStage

_APPROACH = 0.25  # share of the stage
_CALIBRATED = 0.4  # from here on; before, the state still changes too much
_APART = 0.1  # share of the stage between two calibrations, which take as long as some steps
# How fast the weight of the rate follows a missed target: over the last epoch's worth of steps an
# estimate twice the target makes it this many times larger (a power of two).
_POWER = 2.0
_RANGE = 64.0
# Which share of the excess each step takes off by coarser quantisation, at once.
_SHARE = 0.1


class RateController:
    """Holds a stage to a size.

    Args:
        stage: At its beginning.
        config: Where the weight of the rate begins.
        wanted: Bits.
        values: Stored values.
        steps: Of an epoch.

    Attributes:
        rate_weight: What a bit per stored value is worth now, in nepers of the loss.
    """

    def __init__(
        self, stage: QuantisedStage, config: FitConfig, wanted: float, values: int, steps: int
    ) -> None:
        self._stage, self._wanted, self._values = stage, wanted, values
        self._power = _POWER / steps
        self._middle = self.rate_weight = config.rate_weight
        self._start = stage.estimated_bits()
        self._calibration = 1.0
        self._due = _CALIBRATED

    def settled(self, fraction: float) -> bool:
        """Whether the wanted size is aimed at by now, at a stage's progress in [0, 1]."""
        return fraction >= _APPROACH

    def excess(self, bits: Tensor) -> Tensor:
        """By which share an estimate is above the wanted size; at least 0."""
        return (bits * (self._calibration / self._wanted) - 1).clamp_min(0)

    def update(self, bits: float, fraction: float) -> None:
        """Move steps, and the weight of the rate, towards what makes the size the right one.

        Args:
            bits: The estimate of the present step.
            fraction: The stage's progress in [0, 1].
        """
        part = min(fraction / _APPROACH, 1.0)
        aim = self._start ** (1 - part) * self._wanted**part
        bits *= self._calibration
        self._stage.quantiser.scale_steps(_SHARE * (bits - aim) / self._values)
        weight = self.rate_weight * (bits / aim) ** self._power
        self.rate_weight = min(max(weight, self._middle / _RANGE), self._middle * _RANGE)

    def calibrate(self, fraction: float) -> None:
        """Compare the estimate with real bytes, between epochs."""
        if fraction >= self._due:
            self._due = fraction + _APART
            self._calibration = self._stage.coded_bits() / self._stage.estimated_bits()
