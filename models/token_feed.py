"""Tokens as what a network decodes: the codes around a frame, and where in its step it is."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nvcodec.models.token_layout import CHANNELS, TIME_STRIDE, steps_of


class TokenFeed(nn.Module):
    """Codes of a segment, for any of its frames. Holds nothing that is fitted.

    Args:
        frames: Of the segment.
        grid: Rows and columns of cells.
    """

    codes: Tensor

    def __init__(self, frames: int, grid: tuple[int, int]) -> None:
        super().__init__()
        shape = (steps_of(frames), CHANNELS, *grid)
        self.register_buffer("codes", torch.zeros(shape), persistent=False)

    def forward(self, index: Tensor) -> Tensor:
        """What is known of frames.

        Args:
            index: Frame numbers in the segment, shape (B,), int64.

        Returns:
            Shape (B, `fed_channels()`, h, w): codes of the step before, of the frame's own and of the
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
