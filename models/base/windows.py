"""Computing a part of a picture: which part of every layer's input it takes.

Fitting on patches touches a fraction of the samples per step. Each layer gets exactly the inputs
its outputs need, zeros only beyond the true border, so a patch equals the crop of the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of samples; `bottom` and `right` are exclusive.

    With a `step`, only every so many rows and columns count, from the first of each on.
    """

    top: int
    left: int
    bottom: int
    right: int
    step: int = 1

    @property
    def rows(self) -> slice:
        """Its rows in the picture."""
        return slice(self.top, self.bottom, self.step)

    @property
    def columns(self) -> slice:
        """Its columns in the picture."""
        return slice(self.left, self.right, self.step)

    def grown(self, reach: int) -> Window:
        """The rectangle with `reach` more samples on every side."""
        return Window(self.top - reach, self.left - reach, self.bottom + reach, self.right + reach)

    def shrunk(self, scale: int) -> Window:
        """The rectangle of cells of `scale` by `scale` samples that covers this one."""
        return Window(
            self.top // scale, self.left // scale, -(-self.bottom // scale), -(-self.right // scale)
        )

    def grown_cells(self, scale: int) -> Window:
        """The samples of this rectangle of cells."""
        return Window(*(edge * scale for edge in (self.top, self.left, self.bottom, self.right)))


@dataclass(frozen=True, slots=True)
class Part:
    """What to cut from a tensor that covers `have` to get `want`, with zeros outside the picture."""

    have: Window
    want: Window

    def crop(self, x: Tensor) -> Tensor:
        """Cut or pad a (B, C, H, W) tensor."""
        have, want = self.have, self.want
        edges = (
            want.left - have.left,
            have.right - want.right,
            want.top - have.top,
            have.bottom - want.bottom,
        )
        return F.pad(x, [-edge for edge in edges])


def window_parts(
    window: Window,
    grid: Sequence[int],
    kernels: Sequence[tuple[Tensor, Tensor]],
    shuffles: Sequence[int],
) -> list[Part]:
    """The input part of each layer, and the final crop.

    Args:
        window: Wanted samples of the last shuffle's output.
        grid: Height and width of the first layer's input.
        kernels: Weights and biases of the layers.
        shuffles: Upsampling factor behind each layer.

    Returns:
        One part per layer, then the one that cuts `window` from the last output.
    """
    wanted = window
    cells: list[Window] = []
    for (weight, _), scale in zip(reversed(kernels), reversed(shuffles), strict=True):
        cells.append(wanted.shrunk(scale))
        wanted = cells[-1].grown(weight.shape[-1] // 2)
    cells.reverse()
    parts: list[Part] = []
    have = frame = Window(0, 0, grid[0], grid[1])
    for (weight, _), scale, produced in zip(kernels, shuffles, cells, strict=True):
        inside = Window(
            max(produced.top, frame.top),
            max(produced.left, frame.left),
            min(produced.bottom, frame.bottom),
            min(produced.right, frame.right),
        )
        parts.append(Part(have, inside.grown(weight.shape[-1] // 2)))
        have, frame = inside.grown_cells(scale), frame.grown_cells(scale)
    return [*parts, Part(have, window)]
