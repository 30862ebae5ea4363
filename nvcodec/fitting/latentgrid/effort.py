"""How hard a fit of `latentgrid` tries, and what it counts a bit and a sample as."""

from __future__ import annotations

from dataclasses import dataclass
from math import log2

from nvcodec.config import FitConfig
from nvcodec.models.latentgrid.step_sizes import OFFSET_OCTAVE, STEP_OCTAVE, StepIndices


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """Settings of a fit.

    Attributes:
        motion_steps: Of gradient descent on the motion of a level.
        refine: Whether motion is searched a second time, at the step that the first pass leads to.
        trials: Groups of motion channels that are left out on trial, 0 to 2.
        context_steps: Of Adam on the context networks.
        motion_rate: Of gradient descent, in motion latents.
        deadzone: Motion latents of the first guess below this are nearly left out.
        lagrangian: What a bit costs, in squared steps: the slope of a Laplace source's rate and
            distortion.
        motion_weight: The same for motion.
        keep: The same for the choice of motion latents, whose use is known already.
        motion_step: Step of displacements at a luma step of 16, luma samples.
        mix_step: Step of k at a luma step of 16.
        offsets: Steps of frames relative to the base; see `StepIndices`.
        chroma: Step of chroma; see `StepIndices`.
    """

    motion_steps: int = 40
    refine: bool = True
    trials: int = 2
    context_steps: int = 300
    motion_rate: float = 0.7
    deadzone: float = 1.0
    lagrangian: float = 0.134
    motion_weight: float = 0.2
    keep: float = 0.02
    motion_step: float = 0.25
    mix_step: float = 0.7
    offsets: tuple[int, ...] = (-8, -6, 0, 4, 8, 12, 15, 15)
    chroma: int = -2

    def steps(self, base: int, motion_base: int) -> StepIndices:
        """All steps that go with a base.

        Args:
            base: Step of luma; see `StepIndices`.
            motion_base: The base that the steps of motion are for.
        """
        # Coarser frames need coarser motion, but slower.
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


# Epochs from which on a fit is thorough: `fast` and `medium`.
_REFINED_FROM, _ALL_TRIALS_FROM = 30, 100


def effort_of(config: FitConfig) -> Effort:
    """The effort that a number of epochs stands for: a motion step is worth about three."""
    return Effort(
        motion_steps=config.epochs // 3,
        refine=config.epochs >= _REFINED_FROM,
        trials=2 if config.epochs >= _ALL_TRIALS_FROM else 1,
        context_steps=min(100 + 2 * config.epochs, 1000),
    )
