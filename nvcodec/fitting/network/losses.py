"""The losses that fits minimise, and the squared error for reporting."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nvcodec.media import ColourMode

# PSNR weights (6 Y + U + V) / 8, as in `psnr_yuv`, over four luma phases and two chroma planes.
_YUV_WEIGHTS = (6 / 8 / 4, 6 / 8 / 4, 6 / 8 / 4, 6 / 8 / 4, 1 / 8, 1 / 8)
_WINDOW = 11  # samples, of SSIM
_SIGMA = 1.5  # samples, of SSIM
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_LEAST = 1e-4  # lower limit of similarities that are raised to a power
_FUSION = 60.0
_SPECTRUM = (720 * 1280) ** 0.5
# Lower limit of the loss of masked batches: the logarithm is taken, and a batch can be masked
# wholly.
_LEAST_LOSS = 1e-12


def squared_error(output: Tensor, target: Tensor, colour: ColourMode) -> Tensor:
    """Mean squared error, planes weighted as in PSNR: equally for RGB, 6:1:1 for 4:2:0.

    Args:
        output: Output of the network, shape (B, C, H, W), in [0, 1].
        target: Target samples, same shape and range.
        colour: Colour mode of the channels.

    Returns:
        The error, a scalar.
    """
    if colour is ColourMode.RGB:
        return F.mse_loss(output, target)
    error: Tensor = _WeightedError.apply(output, target)  # type: ignore[no-untyped-call]
    return error


class _WeightedError(torch.autograd.Function):
    """Squared error of 4:2:0 planes whose gradient is computed in one pass over them.

    Autograd gives the gradient of the mean another memory layout, and all operations before it then
    read one layout and write another. That takes half the time of a step of a small network.
    """

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, output: Tensor, target: Tensor) -> Tensor:
        weights = torch.tensor(_YUV_WEIGHTS, device=output.device)
        difference = output - target
        ctx.save_for_backward(difference, weights)
        return (difference.square().mean((0, 2, 3)) * weights).sum()

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:
        difference, weights = ctx.saved_tensors  # type: ignore[attr-defined]
        slope = 2 * (gradient * weights / (difference.numel() // len(weights)))
        return difference * slope[:, None, None], None


def masked_error(
    output: Tensor, target: Tensor, colour: ColourMode, valid_mask: Tensor | None
) -> Tensor:
    """Mean squared error over the valid samples, planes weighted as in `squared_error`.

    Args:
        output: Output of the network, shape (B, C, H, W), in [0, 1].
        target: Target samples, same shape and range.
        colour: Colour mode of the channels.
        valid_mask: Samples that count, bool, same shape; None if all count.

    Returns:
        The error, a scalar; 0 if no sample is valid.
    """
    if valid_mask is None:
        return squared_error(output, target, colour)
    error = squared_error(torch.where(valid_mask, output, target), target, colour)
    return error / _valid_share(valid_mask, colour)


def _valid_share(valid_mask: Tensor, colour: ColourMode) -> Tensor:
    """Return the share of the weights of `squared_error` that valid samples have, above 0."""
    ones = valid_mask.float()
    return squared_error(ones, torch.zeros_like(ones), colour).clamp_min(1 / valid_mask.numel())


def distortion(
    output: Tensor,
    target: Tensor,
    colour: ColourMode,
    loss: str,
    valid_mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the loss of a recipe, and the squared error for reporting.

    Args:
        output: Output of the network, shape (B, C, H, W), in [0, 1].
        target: Target samples, same shape and range.
        colour: Colour mode of the channels.
        loss: `"l2"`; `"fusion6"` = 0.7 L1 + 0.3 (1 - SSIM) (NeRV, section 3.2); `"frequency"` =
            60 (0.7 L1 + 0.3 (1 - MS-SSIM)) plus the mean magnitude of the difference of the
            spectra, real and imaginary (Boosting NeRV, section 3.4).
        valid_mask: Samples that count, bool, same shape; None if all count.

    Returns:
        Loss and weighted squared error, scalars; both per valid sample.
    """
    if valid_mask is not None:
        # Masked samples are replaced by the target, so that they contribute no error. That also
        # holds for the windows of SSIM and for spectra, which mix samples.
        share = _valid_share(valid_mask, colour)
        visible = torch.where(valid_mask, output, target)
        masked_loss, error = distortion(visible, target, colour, loss)
        return (masked_loss / share).clamp_min(_LEAST_LOSS), error / share
    error = squared_error(output, target, colour)
    if loss == "l2":
        return error, error
    absolute = (output - target).abs().mean()
    if loss == "fusion6":
        return 0.7 * absolute + 0.3 * (1.0 - ssim(output, target)), error.detach()
    structure = 1.0 - ms_ssim(output, target)
    spectrum = _spectral_difference(output, target)
    return _FUSION * (0.7 * absolute + 0.3 * structure) + spectrum, error.detach()


def _spectral_difference(output: Tensor, target: Tensor) -> Tensor:
    """Return the mean absolute difference of two-dimensional spectra, scaled to 720 x 1280 samples.

    Unnormalised spectra grow with the root of the number of samples, and the weights of the paper
    are for frames of that size.
    """
    spectra = torch.fft.rfft2(output.float() - target.float(), norm="ortho")
    return _SPECTRUM * torch.view_as_real(spectra).abs().mean()


def ms_ssim(output: Tensor, target: Tensor) -> Tensor:
    """Return SSIM over up to five scales (Wang et al. 2003), fewer if frames are too small.

    Args:
        output: Output of the network, shape (B, C, H, W), in [0, 1].
        target: Target samples, same shape and range.

    Returns:
        MS-SSIM, a scalar, at most 1; differentiable.
    """
    scales = 1
    while scales < len(_SCALE_WEIGHTS) and min(output.shape[2:]) >> scales >= _WINDOW:
        scales += 1
    weights = _SCALE_WEIGHTS[:scales]
    product = torch.ones(output.shape[:2], device=output.device)
    for scale, weight in enumerate(weights):
        luminance, structure = _similarity(output, target)
        similarity = luminance * structure if scale + 1 == scales else structure
        product = product * similarity.mean((2, 3)).clamp_min(_LEAST) ** (weight / sum(weights))
        output, target = F.avg_pool2d(output, 2), F.avg_pool2d(target, 2)
    return product.mean()


def ssim(output: Tensor, target: Tensor) -> Tensor:
    """Return the structural similarity, mean over frames and channels (Wang et al. 2004).

    The Gaussian window has 11 samples and a standard deviation of 1.5, without padding. It is
    smaller if the frames are.

    Args:
        output: Output of the network, shape (B, C, H, W), in [0, 1].
        target: Target samples, same shape and range.

    Returns:
        SSIM, a scalar, at most 1; differentiable.
    """
    luminance, structure = _similarity(output, target)
    return (luminance * structure).mean()


def _similarity(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return the luminance term and the contrast-structure term at every window position."""
    size = min(_WINDOW, output.shape[2], output.shape[3])
    offsets = torch.arange(size, device=output.device, dtype=output.dtype) - (size - 1) / 2
    window = torch.exp(-offsets.square() / (2 * _SIGMA**2))
    window = window / window.sum()
    channels = output.shape[1]

    def blur(x: Tensor) -> Tensor:
        rows = F.conv2d(x, window.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
        return F.conv2d(rows, window.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)

    mean_x, mean_y = blur(output), blur(target)
    variance_x = blur(output * output) - mean_x * mean_x
    variance_y = blur(target * target) - mean_y * mean_y
    covariance = blur(output * target) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return luminance, structure
