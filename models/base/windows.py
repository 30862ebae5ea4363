"""Windows of a picture, and the part of every layer's input that a window needs.

Fitting on patches computes a fraction of the samples per optimiser step. Each layer gets exactly
the inputs that its outputs need, with zeros only beyond the border of the picture, so that a patch
equals the crop of the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of samples.

    Attributes:
        top: First row.
        left: First column.
        bottom: Row behind the last one.
        right: Column behind the last one.
        step: Distance between the rows, and between the columns, that belong to the window.
    """

    top: int
    left: int
    bottom: int
    right: int
    step: int = 1

    @property
    def rows(self) -> slice:
        """Rows of the picture that belong to the window."""
        return slice(self.top, self.bottom, self.step)

    @property
    def columns(self) -> slice:
        """Columns of the picture that belong to the window."""
        return slice(self.left, self.right, self.step)

    def expanded(self, reach: int) -> Window:
        """Return the rectangle with `reach` more samples on every side."""
        return Window(self.top - reach, self.left - reach, self.bottom + reach, self.right + reach)

    def to_cells(self, scale: int) -> Window:
        """Return the rectangle of cells, `scale` by `scale` samples each, that covers this one."""
        return Window(
            self.top // scale, self.left // scale, -(-self.bottom // scale), -(-self.right // scale)
        )

    def to_samples(self, scale: int) -> Window:
        """Return the samples of this rectangle of cells, `scale` by `scale` samples each."""
        return Window(*(edge * scale for edge in (self.top, self.left, self.bottom, self.right)))


@dataclass(frozen=True, slots=True)
class Part:
    """A crop from one window to another, with zeros outside the picture.

    Attributes:
        available: Window that the tensor covers.
        needed: Window to return.
    """

    available: Window
    needed: Window

    def crop(self, x: Tensor) -> Tensor:
        """Crop or pad a tensor of shape (B, C, H, W) from `available` to `needed`."""
        available, needed = self.available, self.needed
        edges = (
            needed.left - available.left,
            available.right - needed.right,
            needed.top - available.top,
            available.bottom - needed.bottom,
        )
        return F.pad(x, [-edge for edge in edges])


def window_parts(
    window: Window,
    grid: Sequence[int],
    kernels: Sequence[tuple[Tensor, Tensor]],
    shuffles: Sequence[int],
) -> list[Part]:
    """Return the part of its input that each layer needs, and the final crop.

    Args:
        window: Samples of the last shuffle's output that are needed.
        grid: Height and width of the first layer's input.
        kernels: Weights and biases of the layers.
        shuffles: Upsampling factor behind each layer.

    Returns:
        One part per layer, then the one that crops the last output to `window`.
    """
    needed = window
    outputs: list[Window] = []
    for (weight, _), scale in zip(reversed(kernels), reversed(shuffles), strict=True):
        outputs.append(needed.to_cells(scale))
        needed = outputs[-1].expanded(weight.shape[-1] // 2)
    outputs.reverse()
    parts: list[Part] = []
    available = frame = Window(0, 0, grid[0], grid[1])
    for (weight, _), scale, output in zip(kernels, shuffles, outputs, strict=True):
        inside = Window(
            max(output.top, frame.top),
            max(output.left, frame.left),
            min(output.bottom, frame.bottom),
            min(output.right, frame.right),
        )
        parts.append(Part(available, inside.expanded(weight.shape[-1] // 2)))
        available, frame = inside.to_samples(scale), frame.to_samples(scale)
    return [*parts, Part(available, window)]
