"""Conversions between planes, wavelet pyramids and the padded arrays of the entropy coder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from nvcodec.media import Float32Array, Int16Array
from nvcodec.models.latentgrid.subbands import SubbandLayout
from nvcodec.models.latentgrid.wavelets import Pyramid, analysis


def round_to_uint8(planes: Tensor) -> Tensor:
    """Round to the nearest of 0 to 255."""
    # The conversion to an integer rounds a positive number down.
    return (planes + 0.5).clamp_(0, 255.5).to(torch.uint8)


def to_pyramid(layout: SubbandLayout, bands: Sequence[Int16Array]) -> Pyramid:
    """Make a pyramid from arrays of symbols.

    Args:
        layout: The subbands.
        bands: Array of each band, shape (B, channels, *padded size).
    """
    planes = [
        torch.from_numpy(np.ascontiguousarray(values[..., : band.size[0], : band.size[1]])).float()
        for band, values in zip(layout.bands, bands, strict=True)
    ]
    details = [tuple(planes[start : start + 3]) for start in range(1, len(planes), 3)]
    return Pyramid(planes[0], tuple(reversed(details)))  # type: ignore[arg-type]


def to_subbands(layout: SubbandLayout, planes: Tensor) -> list[Float32Array]:
    """Return the wavelet coefficients of planes as arrays of padded size, float32.

    Args:
        layout: The subbands.
        planes: Shape (B, channels, H, W).
    """
    return crop_to_bands(layout, flatten_pyramid(analysis(planes, layout.scales)))


def flatten_pyramid(pyramid: Pyramid) -> list[Tensor]:
    """Return the bands of a pyramid from coarse to fine, in the order of `SubbandLayout.bands`."""
    return [pyramid.coarse, *(band for bands in reversed(pyramid.details) for band in bands)]


def crop_to_bands(layout: SubbandLayout, bands: Sequence[Tensor]) -> list[Float32Array]:
    """Return bands as arrays of padded size, float32.

    Args:
        layout: The subbands.
        bands: Tensor of each band, shape (B, channels, h, w).
    """
    cropped = []
    for band, values in zip(layout.bands, bands, strict=True):
        padded = np.zeros((*values.shape[:2], *band.padded_size), np.float32)
        padded[..., : band.size[0], : band.size[1]] = values.cpu().numpy()
        cropped.append(padded)
    return cropped


def move_to_device(pyramid: Pyramid, device: torch.device) -> Pyramid:
    """Return a pyramid on a device."""
    if device.type == "cpu":
        return pyramid
    details = tuple(tuple(band.to(device) for band in bands) for bands in pyramid.details)
    return Pyramid(pyramid.coarse.to(device), details)  # type: ignore[arg-type]
