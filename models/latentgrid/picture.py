"""Frames as planes of luma and chroma."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Picture:
    """Frames as luma and chroma planes, uint8 or float, 0 to 255.

    Attributes:
        luma: Shape (B, 1, H, W).
        chroma: Shape (B, 2, h, w).
    """

    luma: Tensor
    chroma: Tensor

    def __getitem__(self, frames: Sequence[int] | Tensor | slice) -> Picture:
        """Return some of the frames."""
        return Picture(self.luma[frames], self.chroma[frames])

    def to(self, device: torch.device) -> Picture:
        """Return the same frames on a device."""
        return Picture(self.luma.to(device), self.chroma.to(device))

    def float(self) -> Picture:
        """Return the same samples as floats."""
        return Picture(self.luma.float(), self.chroma.float())


def concatenate(parts: Sequence[Picture]) -> Picture:
    """Concatenate the frames of all parts."""
    return Picture(
        torch.cat([part.luma for part in parts]), torch.cat([part.chroma for part in parts])
    )
