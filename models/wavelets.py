"""A multi-scale transform of planes: the biorthogonal 9/7 wavelet, any size, exact inverse.

Cohen, Daubechies and Feauveau's filters in the lifting form of Daubechies and Sweldens, "Factoring
wavelet transforms into lifting steps" (1998), section 7.5, scaled to be nearly orthonormal: a
quantisation error has about the same energy in every band and in the plane.

Planes are continued by mirroring about their first and last sample, so that there are exactly as
many coefficients as samples, whatever the size. The inverse, which a decoder spends its time on, is
one convolution per scale: four bands in, the four phases of the finer scale out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

# Lifting steps, and the scale of the low band. Part of the bitstream.
_STEPS = (-1.586134342059924, -0.052980118572961, 0.882911075530934, 0.443506852043971)
_SCALE = 1.149604398860241
# The longest filter has nine taps: an output depends on five neighbours in a band.
_REACH = 2


@dataclass(frozen=True, slots=True)
class Pyramid:
    """The bands of a plane.

    Attributes:
        coarse: What is left at the coarsest scale, shape (..., h, w).
        details: From the finest scale to the coarsest, the bands that are high in x, high in y,
            and high in both. Where a side is odd its high bands are one sample shorter.
    """

    coarse: Tensor
    details: tuple[tuple[Tensor, Tensor, Tensor], ...]


def analysis(planes: Tensor, count: int) -> Pyramid:
    """Split planes into bands.

    Args:
        planes: Shape (..., H, W), both sides at least 2 at every scale.
        count: Number of scales, from `nvcodec.models.bands.scales`.
    """
    details = []
    for _ in range(count):
        low, high = _split(planes)
        (planes, low_high), (high_low, high_high) = (
            (part.mT for part in _split(half.mT)) for half in (low, high)
        )
        details.append((high_low, low_high, high_high))
    return Pyramid(planes, tuple(details))


def synthesis(pyramid: Pyramid) -> Tensor:
    """Inverse of `analysis`; differentiable.

    Args:
        pyramid: Bands of shape (..., h, w).

    Returns:
        Planes, shape (..., H, W).
    """
    planes = pyramid.coarse
    lead = planes.shape[:-2]
    planes = planes.flatten(0, -3) if lead else planes[None]
    for bands in reversed(pyramid.details):
        across, down, both = (band.reshape(-1, *band.shape[-2:]) for band in bands)
        height = planes.shape[-2] + down.shape[-2]
        width = planes.shape[-1] + across.shape[-1]
        continued = torch.stack(
            [
                _continued(_continued(band, width, phase % 2).mT, height, phase // 2).mT
                for phase, band in enumerate((planes, across, down, both))
            ],
            dim=1,
        )
        phases = F.conv2d(continued, _kernel(planes.device, planes.dtype))
        planes = F.pixel_shuffle(phases, 2)[:, 0, :height, :width]
    return planes.reshape(*lead, *planes.shape[-2:])


def _split(x: Tensor) -> tuple[Tensor, Tensor]:
    """One scale along the last axis: low and high band."""
    even, odd = x[..., 0::2], x[..., 1::2]
    # Mirroring about the end samples, seen from one phase, repeats the other one's end.
    after = even[..., 1:] if x.shape[-1] % 2 else torch.cat([even[..., 1:], even[..., -1:]], -1)
    odd = odd + _STEPS[0] * (even[..., : odd.shape[-1]] + after)
    even = even + _STEPS[1] * _around(odd, even)
    after = even[..., 1:] if x.shape[-1] % 2 else torch.cat([even[..., 1:], even[..., -1:]], -1)
    odd = odd + _STEPS[2] * (even[..., : odd.shape[-1]] + after)
    even = even + _STEPS[3] * _around(odd, even)
    return even * _SCALE, odd / _SCALE


def _around(odd: Tensor, even: Tensor) -> Tensor:
    """Sum of the odd samples on both sides of every even one."""
    before = torch.cat([odd[..., :1], odd], -1)[..., : even.shape[-1]]
    behind = odd
    if even.shape[-1] > odd.shape[-1]:
        behind = torch.cat([odd, odd[..., -1:]], -1)
    return before + behind


def _continued(band: Tensor, length: int, phase: int) -> Tensor:
    """A band with two samples more on each side along the last axis, as mirroring makes them.

    Args:
        band: The samples of one phase of a line.
        length: Samples of the line.
        phase: 0 for even, 1 for odd samples.
    """
    return band[..., _mirrored(length, phase, band.device)]


@lru_cache(maxsize=256)
def _mirrored(length: int, phase: int, device: torch.device) -> Tensor:
    count = (length + 1) // 2
    period = 2 * (length - 1)
    # What is kept must serve fits too, whoever asked first.
    with torch.inference_mode(False):
        positions = (2 * torch.arange(-_REACH, count + _REACH) + phase) % period
        positions = torch.minimum(positions, period - positions)
        return ((positions - phase) // 2).to(device)


@lru_cache(maxsize=8)
def _kernel(device: torch.device, dtype: torch.dtype) -> Tensor:
    """Weights of the inverse of one scale, shape (4 phases, 4 bands, 5, 5)."""
    # What is kept must serve fits too, whoever asked first.
    with torch.inference_mode(False), torch.no_grad():
        # The columns of the inverse of a short line, around its middle, are the filters.
        length = 32
        low, high = _split(torch.eye(length, dtype=torch.float64))
        inverse = torch.linalg.inv(torch.cat([low, high], -1).T)
        middle = length // 4
        taps = torch.empty(2, 2, 2 * _REACH + 1, dtype=torch.float64)
        for phase in range(2):
            for band in range(2):
                start = band * (length // 2) + middle - _REACH
                taps[phase, band] = inverse[2 * middle + phase, start : start + 2 * _REACH + 1]
        kernel = torch.einsum("pbi,qcj->pqbcij", taps, taps).flatten(0, 1).flatten(1, 2)
        return kernel.to(device, dtype).contiguous()
