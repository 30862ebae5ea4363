"""Motion estimation of a token's cell by least squares (Lucas and Kanade, IJCAI 1981, section 4).

Nothing is learned here. The motion of a cell without texture is zero, also if the cell is noisy.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from nvcodec.models.tokenizer.layout import SPACE_STRIDE, TIME_STRIDE

_SCALES = (4, 8)  # sides of the squares of samples that are averaged before differences are taken
MOTION_CHANNELS = 2 * len(_SCALES)
# Regularisation of the sums of squared differences, with black at -1 and white at 1: differences
# that are due to noise have hardly any influence.
_NOISE = 2e-4
# Samples per frame that have the code 1, and below which the code is nearly linear.
_FULL, _SLOW = 8.0, 0.5


def cell_motion(video: Tensor) -> Tensor:
    """Estimate the motion of every cell and time step at several scales.

    Args:
        video: Frames, shape (B, 1 + 4 n, 3, H, W), in [-1, 1]; sides are multiples of 32.

    Returns:
        Shape (B, 1 + n, 4, H / 32, W / 32): `motion_code` of x and y for each scale; 0 at the first
        time step.
    """
    batch, frames, _, height, width = video.shape
    codes = []
    for scale in _SCALES:
        small = F.avg_pool2d(video.flatten(0, 1).float(), scale)
        small = small.view(batch, frames, 3, height // scale, width // scale)
        codes.append(motion_code(scale * _least_squares(small, SPACE_STRIDE // scale)))
    later = torch.cat(codes, 2)
    first = later.new_zeros(batch, 1, *later.shape[2:])
    return torch.cat([first, later], 1)


def motion_code(motion: Tensor) -> Tensor:
    """Map motion to a signed, logarithmic scale.

    Args:
        motion: Samples per frame, any shape.

    Returns:
        Same shape, in [-1, 1]; 1 for 8 samples per frame and more.
    """
    scaled = torch.log1p(motion.abs() / _SLOW) / math.log1p(_FULL / _SLOW)
    return scaled.clamp(max=1) * motion.sign()


def _least_squares(pictures: Tensor, cell: int) -> Tensor:
    """Estimate the motion per frame of every cell.

    Args:
        pictures: Frames, shape (B, 1 + 4 n, 3, h, w).
        cell: Side of a cell.

    Returns:
        x and y, shape (B, n, 2, h / cell, w / cell).
    """
    batch, frames, colours, height, width = pictures.shape
    if frames == 1:
        return pictures.new_zeros(batch, 0, 2, height // cell, width // cell)
    current, previous = pictures[:, 1:], pictures[:, :-1]
    middle = F.pad(((current + previous) / 2).flatten(1, 2), (1, 1, 1, 1), mode="replicate")
    middle = middle.view(batch, frames - 1, colours, height + 2, width + 2)
    x = (middle[..., 1:-1, 2:] - middle[..., 1:-1, :-2]) / 2
    y = (middle[..., 2:, 1:-1] - middle[..., :-2, 1:-1]) / 2
    t = current - previous
    products = torch.stack(
        [(a * b).mean(2) for a, b in ((x, x), (y, y), (x, y), (x, t), (y, t))], 2
    )
    # Means over all samples of a cell in its four frames.
    sums = F.avg_pool2d(products.flatten(0, 2).unsqueeze(1), cell)
    sums = sums.view(batch, -1, TIME_STRIDE, 5, height // cell, width // cell).mean(2)
    xx, yy, xy, xt, yt = sums.unbind(2)
    xx, yy = xx + _NOISE, yy + _NOISE
    determinant = xx * yy - xy * xy
    return torch.stack([xy * yt - yy * xt, xy * xt - xx * yt], 2) / determinant.unsqueeze(2)
