"""Rate control holds a stage to a target size."""

from __future__ import annotations

import pytest
import torch

from nvcodec.config import FitConfig
from nvcodec.fitting.network.rate_control import RateController


class FakeStage:
    """A stage of 5 bits per value, less 1 per octave of step size; real sizes are 4 % larger."""

    def __init__(self) -> None:
        self.octaves = 0.0
        self.quantiser = self

    def scale_steps(self, octaves: float) -> None:
        self.octaves += octaves

    def estimated_bits(self) -> float:
        return 1000 * max(5 - self.octaves, 0.5)

    def coded_bits(self) -> float:
        return 1.04 * self.estimated_bits()


@pytest.mark.parametrize("target_bits", [1000.0, 4900.0, 7000.0])
def test_a_size_is_approached_and_held(target_bits):
    stage = FakeStage()
    control = RateController(stage, FitConfig(), target_bits, 1000, 20)
    for epoch in range(10):
        for step in range(20):
            fraction = (epoch + step / 20) / 10
            before = stage.octaves
            control.update(stage.estimated_bits(), fraction)
            assert abs(stage.octaves - before) < 0.3
        control.calibrate((epoch + 1) / 10)
    assert control.settled(0.3) and not control.settled(0.2)
    assert stage.coded_bits() == pytest.approx(target_bits, rel=0.01)
    assert float(control.excess(torch.tensor(target_bits))) == pytest.approx(0.04, abs=1e-3)
