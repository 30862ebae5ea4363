"""Which frames and samples a token stands for: the first frame of a segment alone, then groups of four.

Tokens are causal in time, so that a segment's can be read while it is still being encoded, and
begin anew with every segment, so that any stretch of time can be read by itself. No torch.
"""

from __future__ import annotations

from math import ceil

TIME_STRIDE = 4
"""Frames of a token, but for the first of a segment, which is one frame's."""
SPACE_STRIDE = 32
"""Luma samples along each side of a token's cell."""
CHANNELS = 6
"""Of a token's code."""


def steps_of(frames: int) -> int:
    """Steps in time of a segment: 1 + (frames - 1) / 4, rounded up."""
    return 1 + ceil((frames - 1) / TIME_STRIDE)


def frames_of(frames: int) -> list[range]:
    """The frames of each step in time; the last step may have fewer than four.

    Args:
        frames: Of the segment.
    """
    later = range(1, frames, TIME_STRIDE)
    return [range(1), *(range(first, min(first + TIME_STRIDE, frames)) for first in later)]


def grid_of(width: int, height: int) -> tuple[int, int]:
    """Rows and columns of cells that cover a picture; the last ones may reach beyond it."""
    return ceil(height / SPACE_STRIDE), ceil(width / SPACE_STRIDE)


def token_channels() -> int:
    """Channels in which `nvcodec.models.tokenizer.conditioning` hands codes to a network.

    Codes of three steps, each also times a frame's place in its step, that place and its square.
    """
    return 6 * CHANNELS + 2
