"""The conditioning of a network on tokens: the codes around a frame, and its place in the step."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor, nn

from nvcodec.models.tokenizer.layout import CHANNELS, SPACE_STRIDE, TIME_STRIDE, token_step_count

# Values of resampled codes that are kept; more are resampled when a frame needs them.
_MOST_CODES = 1 << 22


class TokenConditioning(nn.Module):
    """The codes of a segment's tokens, resampled to the embedding grid of a network.

    It has no parameters.

    Args:
        frames: Number of frames of the segment.
        cells: Rows and columns of tokens.
        grid: Rows and columns of the embedding grid.
        side: Luma samples along each side of a position of that grid.

    Attributes:
        rows: Weight of every row of tokens in every row of the grid.
        columns: Weight of every column of tokens in every column of the grid.
        codes: Resampled codes, shape (time steps, `CHANNELS`, *grid); the codes of the tokens
            themselves, on their own grid, if a fine grid would make them many times as large.
    """

    rows: Tensor
    columns: Tensor
    codes: Tensor

    def __init__(
        self, frames: int, cells: tuple[int, int], grid: tuple[int, int], side: int
    ) -> None:
        super().__init__()
        for name, count, positions in zip(("rows", "columns"), cells, grid, strict=True):
            self.register_buffer(name, _overlaps(count, positions, side), persistent=False)
        steps = token_step_count(frames)
        self._resampled = steps * CHANNELS * prod(grid) <= _MOST_CODES
        shape = (steps, CHANNELS, *(grid if self._resampled else cells))
        self.register_buffer("codes", torch.zeros(shape), persistent=False)

    def set_tokens(self, codes: Tensor) -> None:
        """Set the codes of the segment; a position takes the mean of the cells that it overlaps.

        Args:
            codes: FSQ codes, shape (time steps, `CHANNELS`, *cells), float32.
        """
        self.codes.copy_(self._on_grid(codes) if self._resampled else codes)

    def _on_grid(self, codes: Tensor) -> Tensor:
        """Resample codes of the tokens, shape (steps, `CHANNELS`, *cells), to the grid."""
        return self.rows @ codes @ self.columns.mT

    def forward(self, index: Tensor) -> Tensor:
        """Return the conditioning of frames.

        Args:
            index: Frame numbers in the segment, shape (B,), int64.

        Returns:
            Shape (B, `token_channels()`, h, w): the codes of the previous time step, of the frame's
            own and of the next one; the same codes times the place of the frame in its step, from
            -1 to 1; that place and its square.
        """
        step = (index + TIME_STRIDE - 1).div(TIME_STRIDE, rounding_mode="floor")
        # The first step has a single frame, whose place is that of the last frame of a step.
        number = (index + TIME_STRIDE - 1) % TIME_STRIDE
        place = torch.where(index == 0, 1.0, 2 * number / (TIME_STRIDE - 1) - 1)
        place = place.to(self.codes.dtype)[:, None, None, None]
        last = len(self.codes) - 1
        neighbours = [self.codes[(step + shift).clamp(0, last)] for shift in (-1, 0, 1)]
        if not self._resampled:
            neighbours = [self._on_grid(codes) for codes in neighbours]
        codes = torch.cat(neighbours, 1)
        places = torch.cat([place, place**2], 1).expand(-1, -1, *codes.shape[-2:])
        return torch.cat([codes, place * codes, places], 1)


def _overlaps(cells: int, positions: int, side: int) -> Tensor:
    """Return the share of each position that lies on each cell, along one axis of the picture.

    A position beyond all cells, in the cropped part of the padded grid, takes the last cell.

    Args:
        cells: Number of cells along the axis.
        positions: Number of positions of the embedding grid along the axis.
        side: Luma samples along the side of a position.

    Returns:
        Shape (positions, cells), float32; every row has the sum 1.
    """
    edge = torch.arange(cells) * SPACE_STRIDE
    begin = torch.arange(positions)[:, None] * side
    shares = torch.minimum(begin + side, edge + SPACE_STRIDE) - torch.maximum(begin, edge)
    shares = shares.clamp(0).float()
    shares[shares.sum(1) == 0, -1] = 1
    return shares / shares.sum(1, keepdim=True)
