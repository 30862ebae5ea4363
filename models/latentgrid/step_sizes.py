"""The quantisation steps of a segment of grids."""

from __future__ import annotations

from dataclasses import dataclass
from math import log2

from nvcodec.models.latentgrid.gop import TemporalLayer

STEP_OCTAVE = 256
LARGEST_BASE = 16 * STEP_OCTAVE - 1
OFFSET_OCTAVE = 16
OFFSETS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class StepIndices:
    """The quantisation steps of a segment, in logarithms.

    Attributes:
        base: Of luma, in 1/256 octaves above 1/16 level; 0 to 4095.
        chroma: Of chroma above luma, in 1/16 octaves, -64 to 63.
        motion: Of displacements, in 1/16 octaves above 1/64 sample; 0 to 255.
        mix: Of k, in 1/16 octaves above 1/64; 0 to 255.
        offsets: Of a frame above the base, in 1/16 octaves, -64 to 63: the first frame, other
            anchors, then frames between by depth, the last for all deeper ones.
    """

    base: int
    chroma: int
    motion: int
    mix: int
    offsets: tuple[int, ...]

    @property
    def base_step(self) -> float:
        """Step of luma that the base stands for, levels of 255."""
        return float(2.0 ** (self.base / STEP_OCTAVE - 4))

    def luma_step(self, level: TemporalLayer) -> float:
        """Step of luma in the frames of a level, levels of 255."""
        category = min(level.depth + 1, OFFSETS - 1) if level.references[0] else 0
        octaves = self.base / STEP_OCTAVE + self.offsets[category] / OFFSET_OCTAVE
        return float(2.0 ** (octaves - 4))

    def chroma_step(self, level: TemporalLayer) -> float:
        """Step of chroma in the frames of a level, levels of 255."""
        return float(self.luma_step(level) * 2.0 ** (self.chroma / OFFSET_OCTAVE))

    @property
    def motion_step(self) -> float:
        """Step of displacements, luma samples."""
        return float(2.0 ** (self.motion / OFFSET_OCTAVE - 6))

    @property
    def mix_step(self) -> float:
        """Step of k."""
        return float(2.0 ** (self.mix / OFFSET_OCTAVE - 6))


def base_of(step: float) -> int:
    """The base that stands for a step of luma, or the nearest to it; see `StepIndices`."""
    return min(max(round(STEP_OCTAVE * (log2(step) + 4)), 0), LARGEST_BASE)
