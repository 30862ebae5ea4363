"""Effort of a fit of `latentgrid`: numbers of steps, costs of bits, relative step sizes."""

from __future__ import annotations

from dataclasses import dataclass
from math import log2

from nvcodec.config import FitConfig
from nvcodec.models.latentgrid.step_sizes import OFFSET_OCTAVE, STEP_OCTAVE, StepIndices


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """Settings of a fit.

    Attributes:
        motion_steps: Optimiser steps on the motion of a layer.
        refine: Whether motion is estimated a second time, at the step size that the first pass
            leads to.
        trials: Number of groups of motion channels that are zeroed on trial, 0 to 2.
        context_steps: Steps of Adam on the context networks.
        motion_rate: Learning rate of motion, in motion latents.
        deadzone: Motion latents of the first estimate below this are nearly zeroed.
        lagrangian: Cost of a bit in squared quantisation steps: the slope of rate and distortion of
            a Laplace source.
        motion_lagrangian: Cost of a bit in motion estimation, in squared quantisation steps.
        motion_rdoq_lagrangian: Cost of a bit in the RDOQ of motion latents, which are good
            estimates already, in squared quantisation steps.
        motion_step: Step of displacements at a luma step of 16, luma samples.
        mix_step: Step of the blending weight k at a luma step of 16.
        offsets: Steps of frames relative to the base step; see `StepIndices`.
        chroma: Step of chroma relative to luma; see `StepIndices`.
    """

    motion_steps: int = 40
    refine: bool = True
    trials: int = 2
    context_steps: int = 300
    motion_rate: float = 0.7
    deadzone: float = 1.0
    lagrangian: float = 0.134
    motion_lagrangian: float = 0.2
    motion_rdoq_lagrangian: float = 0.02
    motion_step: float = 0.25
    mix_step: float = 0.7
    offsets: tuple[int, ...] = (-8, -6, 0, 4, 8, 12, 15, 15)
    chroma: int = -2

    def steps(self, base: int, motion_base: int) -> StepIndices:
        """Return all step sizes that go with a base step.

        Args:
            base: Index of the base step of luma; see `StepIndices`.
            motion_base: Index of the base step that the steps of motion are derived from.
        """
        # Motion gets coarser with the frames, but half as fast.
        octaves = max(motion_base / STEP_OCTAVE - 8, 0.0) / 2

        def index(step: float) -> int:
            return min(max(round(OFFSET_OCTAVE * (log2(step) + octaves + 6)), 0), 255)

        return StepIndices(
            base=base,
            chroma=self.chroma,
            motion=index(self.motion_step),
            mix=index(self.mix_step),
            offsets=self.offsets,
        )


# Numbers of epochs from which on motion is estimated twice and all trials are made: those of the
# presets `fast` and `medium`.
_REFINED_FROM, _ALL_TRIALS_FROM = 30, 100


def effort_of(config: FitConfig) -> Effort:
    """Return the effort of a number of epochs; about three of them count as one motion step."""
    return Effort(
        motion_steps=config.epochs // 3,
        refine=config.epochs >= _REFINED_FROM,
        trials=2 if config.epochs >= _ALL_TRIALS_FROM else 1,
        context_steps=min(100 + 2 * config.epochs, 1000),
    )
