"""Effort of a fit of `latentgrid`: number of passes, costs of bits, relative step sizes."""

from __future__ import annotations

from dataclasses import dataclass

from nvcodec.config import FitConfig
from nvcodec.models.latentgrid.step_sizes import StepIndices


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """Settings of a fit.

    Attributes:
        refine: Whether motion is refined by a second pass, at the step size that the first one
            leads to.
        context_steps: Steps of Adam on the context networks.
        lagrangian: Cost of a bit in squared quantisation steps: the slope of rate and distortion of
            a Laplace source.
        motion_lagrangian: Cost of a bit in the search for motion, in squared quantisation steps.
        refinements: How often the blocks of a frame are reconsidered with their overlap.
        offsets: Steps of frames relative to the base step; see `StepIndices`.
        chroma: Step of chroma relative to luma; see `StepIndices`.
    """

    refine: bool = True
    context_steps: int = 300
    lagrangian: float = 0.134
    motion_lagrangian: float = 0.15
    refinements: int = 1
    offsets: tuple[int, ...] = (-8, -6, 0, 4, 8, 12, 15, 15)
    chroma: int = -2

    def steps(self, base: int) -> StepIndices:
        """Return all step sizes that go with a base step.

        Args:
            base: Index of the base step of luma; see `StepIndices`.
        """
        return StepIndices(base=base, chroma=self.chroma, offsets=self.offsets)


# Number of epochs from which on a second pass refines motion: that of the preset `fast`.
_REFINED_FROM = 30


def effort_of(config: FitConfig) -> Effort:
    """Return the effort of a number of epochs."""
    return Effort(
        refine=config.epochs >= _REFINED_FROM,
        context_steps=min(100 + 2 * config.epochs, 1000),
    )
