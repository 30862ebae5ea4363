"""Step sizes of temporal layers and chroma."""

from __future__ import annotations

from nvcodec.models.latentgrid.gop import TemporalLayer
from nvcodec.models.latentgrid.step_sizes import StepIndices


def test_steps():
    first, anchor, deep = (
        TemporalLayer((0,), ((),), 0),
        TemporalLayer((8,), ((0,),), 0),
        TemporalLayer((4,), ((0, 8),), 9),
    )
    steps = StepIndices(base=2048, chroma=-16, offsets=(-16, 0, 0, 0, 0, 0, 0, 16))
    assert [steps.luma_step(layer) for layer in (first, anchor, deep)] == [8, 16, 32]
    assert [steps.chroma_step(layer) for layer in (first, anchor, deep)] == [4, 8, 16]
