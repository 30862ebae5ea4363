"""The frames and samples that a token represents. No torch.

The first time step of a segment is its first frame, every later one is four frames. Tokens are
causal in time, so that they can be read while the segment is still being encoded. They depend on
no other segment, so that any range of time can be read by itself.
"""

from __future__ import annotations

from math import ceil

TIME_STRIDE = 4
"""Frames of a token; the first one of a segment has a single frame."""
SPACE_STRIDE = 32
"""Luma samples along each side of a token's cell."""
CHANNELS = 6
"""Channels of a token's FSQ code."""


def token_step_count(frames: int) -> int:
    """Return the number of time steps of a segment: 1 + (frames - 1) / 4, rounded up."""
    return 1 + ceil((frames - 1) / TIME_STRIDE)


def frames_of_token_steps(frames: int) -> list[range]:
    """Return the frame numbers of each time step; the last step may have fewer than four.

    Args:
        frames: Number of frames of the segment.
    """
    later = range(1, frames, TIME_STRIDE)
    return [range(1), *(range(first, min(first + TIME_STRIDE, frames)) for first in later)]


def token_grid_size(width: int, height: int) -> tuple[int, int]:
    """Return the rows and columns of cells that cover a picture; the last may reach beyond it.

    Args:
        width: Width of the picture in luma samples.
        height: Height of the picture in luma samples.
    """
    return ceil(height / SPACE_STRIDE), ceil(width / SPACE_STRIDE)


def token_channels() -> int:
    """Return the number of channels of `nvcodec.models.tokenizer.conditioning`.

    These are the codes of three time steps, the same codes times the place of a frame in its step,
    that place and its square.
    """
    return 6 * CHANNELS + 2
