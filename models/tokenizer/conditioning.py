"""Tokens as what a network decodes: the codes around a frame, and where in its step it is."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nvcodec.models.tokenizer.layout import CHANNELS, SPACE_STRIDE, TIME_STRIDE, steps_of


class TokenFeed(nn.Module):
    """Codes of a segment on the grid that a network begins with, for any of its frames.

    Holds nothing that is fitted.

    Args:
        frames: Of the segment.
        cells: Rows and columns of tokens.
        grid: Rows and columns where the network begins.
        side: Luma samples along each side of a position there.
    """

    rows: Tensor
    columns: Tensor
    codes: Tensor

    def __init__(
        self, frames: int, cells: tuple[int, int], grid: tuple[int, int], side: int
    ) -> None:
        super().__init__()
        for name, there, here in zip(("rows", "columns"), cells, grid, strict=True):
            self.register_buffer(name, _shares(there, here, side), persistent=False)
        shape = (steps_of(frames), CHANNELS, *grid)
        self.register_buffer("codes", torch.zeros(shape), persistent=False)

    def set_tokens(self, codes: Tensor) -> None:
        """Take codes of the segment, each position the mean of what it lies on.

        Args:
            codes: Shape (steps, `CHANNELS`, *cells), float32.
        """
        self.codes.copy_(self.rows @ codes @ self.columns.mT)

    def forward(self, index: Tensor) -> Tensor:
        """What is known of frames.

        Args:
            index: Frame numbers in the segment, shape (B,), int64.

        Returns:
            Shape (B, `token_channels()`, h, w): codes of the step before, of the frame's own and of the
            next, the same times the frame's place in its step, -1 to 1, the place and its square.
        """
        step = (index + TIME_STRIDE - 1).div(TIME_STRIDE, rounding_mode="floor")
        # The first step has one frame, which is its last.
        place = (index + TIME_STRIDE - 1) % TIME_STRIDE
        share = torch.where(index == 0, 1.0, 2 * place / (TIME_STRIDE - 1) - 1)
        share = share.to(self.codes.dtype)[:, None, None, None]
        last = len(self.codes) - 1
        around = [self.codes[(step + shift).clamp(0, last)] for shift in (-1, 0, 1)]
        codes = torch.cat(around, 1)
        places = torch.cat([share, share**2], 1).expand(-1, -1, *codes.shape[-2:])
        return torch.cat([codes, share * codes, places], 1)


def _shares(cells: int, positions: int, side: int) -> Tensor:
    """How much of each position lies on each cell, along one side of the picture.

    A position beyond all cells, where networks make what is cut off, lies on the last.

    Returns:
        Shape (positions, cells), rows of sum 1.
    """
    edge = torch.arange(cells) * SPACE_STRIDE
    begin = torch.arange(positions)[:, None] * side
    shares = torch.minimum(begin + side, edge + SPACE_STRIDE) - torch.maximum(begin, edge)
    shares = shares.clamp(0).float()
    shares[shares.sum(1) == 0, -1] = 1
    return shares / shares.sum(1, keepdim=True)
