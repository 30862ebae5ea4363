"""Quantisation step sizes of the wavelet latents of a segment, as logarithmic indices."""

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
    """Quantisation step sizes of a segment, as indices on logarithmic scales.

    Attributes:
        base: Base step of luma, in 1/256 octaves above 1/16 of an 8-bit level; 0 to 4095.
        chroma: Step of chroma relative to that of luma, in 1/16 octaves; -64 to 63.
        offsets: Steps of frames relative to the base step, in 1/16 octaves, -64 to 63 each: for the
            first frame, other anchors, then frames between anchors by temporal depth. The last one
            serves all deeper frames.
    """

    base: int
    chroma: int
    offsets: tuple[int, ...]

    @property
    def base_step(self) -> float:
        """Base step of luma, in 8-bit levels."""
        return float(2.0 ** (self.base / STEP_OCTAVE - 4))

    def luma_step(self, layer: TemporalLayer) -> float:
        """Return the step of luma in the frames of a temporal layer, in 8-bit levels."""
        category = min(layer.depth + 1, OFFSETS - 1) if layer.references[0] else 0
        octaves = self.base / STEP_OCTAVE + self.offsets[category] / OFFSET_OCTAVE
        return float(2.0 ** (octaves - 4))

    def chroma_step(self, layer: TemporalLayer) -> float:
        """Return the step of chroma in the frames of a temporal layer, in 8-bit levels."""
        return float(self.luma_step(layer) * 2.0 ** (self.chroma / OFFSET_OCTAVE))


def base_index(step: float) -> int:
    """Return the base index of a luma step, or of the nearest step that has one.

    Args:
        step: Step of luma, in 8-bit levels, positive.
    """
    return min(max(round(STEP_OCTAVE * (log2(step) + 4)), 0), LARGEST_BASE)
