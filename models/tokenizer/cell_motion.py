"""The motion of a token's cell by least squares, the way of Lucas and Kanade (IJCAI 1981, section 4).

Nothing is learned here. Where there is nothing to see, noise included, nothing moves.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from nvcodec.models.tokenizer.layout import SPACE_STRIDE, TIME_STRIDE

_SCALES = (4, 8)  # samples that are averaged before differences are taken
MOTION_CHANNELS = 2 * len(_SCALES)
# Of squared differences, where -1 to 1 is black to white: ones that noise makes count for nothing.
_NOISE = 2e-4
_FULL, _SLOW = 8.0, 0.5  # samples a frame at 1, and where the scale turns linear


def cell_motion(video: Tensor) -> Tensor:
    """Motion of every cell and step, found at several scales.

    Args:
        video: Shape (B, 1 + 4 n, 3, H, W), in [-1, 1]; sides are multiples of 32.

    Returns:
        Shape (B, 1 + n, 4, H / 32, W / 32): x and y by `motion_code` for each scale; 0 at the first
        step.
    """
    batch, frames, _, height, width = video.shape
    found = []
    for scale in _SCALES:
        small = F.avg_pool2d(video.flatten(0, 1).float(), scale)
        small = small.view(batch, frames, 3, height // scale, width // scale)
        steps = _least_squares(small, SPACE_STRIDE // scale)
        found.append(motion_code(scale * steps))
    steps = torch.cat(found, 2)
    still = steps.new_zeros(batch, 1, *steps.shape[2:])
    return torch.cat([still, steps], 1)


def motion_code(motion: Tensor) -> Tensor:
    """Samples a frame on a signed, logarithmic scale: 1 at 8 samples and beyond."""
    scaled = torch.log1p(motion.abs() / _SLOW) / math.log1p(_FULL / _SLOW)
    return scaled.clamp(max=1) * motion.sign()


def _least_squares(pictures: Tensor, cell: int) -> Tensor:
    """Motion a frame that best explains (B, T, 3, h, w), shape (B, n, 2, h / cell, w / cell)."""
    batch, frames, colours, height, width = pictures.shape
    if frames == 1:
        return pictures.new_zeros(batch, 0, 2, height // cell, width // cell)
    now, before = pictures[:, 1:], pictures[:, :-1]
    middle = F.pad(((now + before) / 2).flatten(1, 2), (1, 1, 1, 1), mode="replicate")
    middle = middle.view(batch, frames - 1, colours, height + 2, width + 2)
    x = (middle[..., 1:-1, 2:] - middle[..., 1:-1, :-2]) / 2
    y = (middle[..., 2:, 1:-1] - middle[..., :-2, 1:-1]) / 2
    t = now - before
    products = torch.stack(
        [(one * two).mean(2) for one, two in ((x, x), (y, y), (x, y), (x, t), (y, t))], 2
    )
    # Over all of a cell and its four frames.
    sums = F.avg_pool2d(products.flatten(0, 2).unsqueeze(1), cell)
    sums = sums.view(batch, -1, TIME_STRIDE, 5, height // cell, width // cell).mean(2)
    xx, yy, xy, xt, yt = sums.unbind(2)
    xx, yy = xx + _NOISE, yy + _NOISE
    determinant = xx * yy - xy * xy
    return torch.stack([xy * yt - yy * xt, xy * xt - xx * yt], 2) / determinant.unsqueeze(2)
