"""Rate control: holds the quantised stage of a fit to a target size.

The controller changes two things: all quantisation step sizes together, at once, and the weight of
the rate in the loss, slowly. The size it aims at falls from the size after the float stage to the
target over the first quarter of the stage, because a network that loses two thirds of its bits in
one step does not recover. Estimated sizes are scaled by the ratio of a real encode of the same
state to its estimate. Little is then left to correct at the end, where a correction without fitting
would cost much quality.
"""

from __future__ import annotations

from torch import Tensor

from nvcodec.config import FitConfig
from nvcodec.fitting.network.stages import QuantisedStage

_APPROACH = 0.25  # share of the stage in which the target is approached
_FIRST_CALIBRATION = 0.4  # share of the stage; before it the state changes too much
_CALIBRATION_INTERVAL = 0.1  # share of the stage; a calibration takes as long as some steps
# Speed at which the weight of the rate follows a missed target: over one epoch of steps, an
# estimate of r times the target multiplies the weight by r to this power.
_WEIGHT_POWER = 2.0
_WEIGHT_RANGE = 64.0  # largest factor between the weight and its first value, either way
_CORRECTED_SHARE = 0.1  # share of the excess that coarser step sizes remove at every step


class RateController:
    """Holds a quantised stage to a target size.

    Args:
        stage: Stage before its first step.
        config: Configuration of the fit, which has the first weight of the rate.
        target_bits: Target size in bits.
        values: Number of stored values of the network.
        steps: Number of optimiser steps of an epoch.

    Attributes:
        rate_weight: Present cost of one bit per stored value, in nepers of the loss.
    """

    def __init__(
        self, stage: QuantisedStage, config: FitConfig, target_bits: float, values: int, steps: int
    ) -> None:
        self._stage, self._target_bits, self._values = stage, target_bits, values
        self._power = _WEIGHT_POWER / steps
        self._first_weight = self.rate_weight = config.rate_weight
        self._first_bits = stage.estimated_bits()
        self._calibration = 1.0
        self._next_calibration = _FIRST_CALIBRATION

    def settled(self, fraction: float) -> bool:
        """Return whether the target itself is the aim at this progress of the stage, in [0, 1]."""
        return fraction >= _APPROACH

    def excess(self, bits: Tensor) -> Tensor:
        """Return the share by which an estimate in bits exceeds the target size; at least 0."""
        return (bits * (self._calibration / self._target_bits) - 1).clamp_min(0)

    def update(self, bits: float, fraction: float) -> None:
        """Change the step sizes and the weight of the rate after an optimiser step.

        Args:
            bits: Estimated size at this step in bits.
            fraction: Progress of the stage in [0, 1].
        """
        part = min(fraction / _APPROACH, 1.0)
        aim = self._first_bits ** (1 - part) * self._target_bits**part
        bits *= self._calibration
        self._stage.quantiser.scale_steps(_CORRECTED_SHARE * (bits - aim) / self._values)
        weight = self.rate_weight * (bits / aim) ** self._power
        least, most = self._first_weight / _WEIGHT_RANGE, self._first_weight * _WEIGHT_RANGE
        self.rate_weight = min(max(weight, least), most)

    def calibrate(self, fraction: float) -> None:
        """Compare the estimate with a real encode, if that is due after an epoch.

        Args:
            fraction: Progress of the stage in [0, 1].
        """
        if fraction >= self._next_calibration:
            self._next_calibration = fraction + _CALIBRATION_INTERVAL
            self._calibration = self._stage.coded_bits() / self._stage.estimated_bits()
