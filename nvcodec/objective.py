"""What a fit minimises."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nvcodec.media import ColourMode

# (6 Y + U + V) / 8, as in `psnr_yuv`, over four luma phases and two chroma planes.
_YUV_WEIGHTS = (6 / 8 / 4, 6 / 8 / 4, 6 / 8 / 4, 6 / 8 / 4, 1 / 8, 1 / 8)
_WINDOW = 11
_SIGMA = 1.5


def squared_error(output: Tensor, target: Tensor, colour: ColourMode) -> Tensor:
    """Mean squared error, planes weighted as in PSNR: equally for RGB, 6:1:1 for 4:2:0.

    Args:
        output: Shape (B, C, H, W), in [0, 1].
        target: Same shape, same range.
        colour: What the channels are.

    Returns:
        A scalar.
    """
    if colour is ColourMode.RGB:
        return F.mse_loss(output, target)
    weights = torch.tensor(_YUV_WEIGHTS, device=output.device)
    return ((output - target).square().mean((0, 2, 3)) * weights).sum()


def distortion(
    output: Tensor, target: Tensor, colour: ColourMode, loss: str
) -> tuple[Tensor, Tensor]:
    """The loss of a recipe, and the squared error for reporting.

    Args:
        output: Shape (B, C, H, W), in [0, 1].
        target: Same shape, same range.
        colour: What the channels are.
        loss: `"l2"`, or `"fusion6"` = 0.7 L1 + 0.3 (1 - SSIM) (NeRV, section 3.2).

    Returns:
        Loss and weighted squared error, scalars.
    """
    error = squared_error(output, target, colour)
    if loss == "l2":
        return error, error
    weight = 1.0 - ssim(output, target)
    return 0.7 * (output - target).abs().mean() + 0.3 * weight, error.detach()


def ssim(output: Tensor, target: Tensor) -> Tensor:
    """Structural similarity, mean over pictures and channels (Wang et al. 2004).

    Gaussian window of 11 samples and deviation 1.5, no padding; smaller for tiny pictures.

    Args:
        output: Shape (B, C, H, W), in [0, 1].
        target: Same shape, same range.

    Returns:
        A scalar, at most 1; differentiable.
    """
    size = min(_WINDOW, output.shape[2], output.shape[3])
    offsets = torch.arange(size, device=output.device, dtype=output.dtype) - (size - 1) / 2
    window = torch.exp(-offsets.square() / (2 * _SIGMA**2))
    window = window / window.sum()
    channels = output.shape[1]

    def blurred(x: Tensor) -> Tensor:
        rows = F.conv2d(x, window.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
        return F.conv2d(rows, window.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)

    mean_x, mean_y = blurred(output), blurred(target)
    variance_x = blurred(output * output) - mean_x * mean_x
    variance_y = blurred(target * target) - mean_y * mean_y
    covariance = blurred(output * target) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return (luminance * structure).mean()
