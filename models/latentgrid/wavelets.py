"""A multi-scale transform of planes: the biorthogonal 9/7 wavelet, any size, exact inverse.

Cohen, Daubechies and Feauveau's filters in the lifting form of Daubechies and Sweldens, "Factoring
wavelet transforms into lifting steps" (1998), section 7.5, scaled to be nearly orthonormal: a
quantisation error has about the same energy in every band and in the plane.

Planes are continued by mirroring about their first and last sample, so that there are exactly as
many coefficients as samples, whatever the size. The inverse, which a decoder spends its time on, is
one convolution per scale: four bands in, the four phases of the finer scale out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# Lifting steps, and the scale of the low band. Part of the bitstream.
_STEPS = (-1.586134342059924, -0.052980118572961, 0.882911075530934, 0.443506852043971)
_SCALE = 1.149604398860241
# The longest filter has nine taps: an output depends on five neighbours in a band.
_REACH = 2
_ROWS = torch.contiguous_format


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
        count: Number of scales, from `nvcodec.models.latentgrid.subbands.scales`.
    """
    details = []
    for _ in range(count):
        low, high = _split(planes, -1)
        (planes, low_high), (high_low, high_high) = _split(low, -2), _split(high, -2)
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


def _split(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """One scale along an axis, -1 or -2: low and high band."""
    low, high = _Split.apply(x, axis)  # type: ignore[no-untyped-call]
    return low, high


class _Split(torch.autograd.Function):
    """Lifting in place, and its transpose: several times as fast as recording every step."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        ctx.axis = axis
        even, odd = (phase.clone(memory_format=_ROWS) for phase in _phases(x, axis))
        for number in range(len(_STEPS)):
            _lift(even, odd, axis, number, transposed=False)
        return even.mul_(_SCALE), odd.mul_(1 / _SCALE)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None]:
        axis = ctx.axis
        even, odd = slopes[0] * _SCALE, slopes[1] / _SCALE
        for number in reversed(range(len(_STEPS))):
            _lift(even, odd, axis, number, transposed=True)
        shape = list(even.shape)
        shape[axis] += odd.shape[axis]
        slope = even.new_empty(shape)
        for phase, values in zip(_phases(slope, axis), (even, odd), strict=True):
            phase.copy_(values)
        return slope, None


def _lift(even: Tensor, odd: Tensor, axis: int, number: int, *, transposed: bool) -> None:
    """One lifting step in place, or its transpose; every other one goes from even to odd."""
    to_odd = number % 2 == 0
    for even_part, odd_part in _linked(even, odd, axis, to_odd=to_odd):
        into, of = (odd_part, even_part) if to_odd != transposed else (even_part, odd_part)
        into.add_(of, alpha=_STEPS[number])


def _phases(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Samples of even and of odd number along an axis."""
    return (x[..., ::2], x[..., 1::2]) if axis == -1 else (x[..., ::2, :], x[..., 1::2, :])


def _linked(
    even: Tensor, odd: Tensor, axis: int, *, to_odd: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """Even samples beside odd ones, as views of equal shape.

    Args:
        even: The even samples of lines.
        odd: The odd ones.
        axis: Of the lines.
        to_odd: Every odd sample is to meet two even ones, instead of the other way round. Mirroring
            about the end samples, seen from one phase, repeats the other one's end.
    """
    evens, odds = even.shape[axis], odd.shape[axis]
    # Starts among the even and the odd samples, and how many.
    parts = [(0, 0, odds), (1, 0, evens - 1)]
    if to_odd and evens == odds:
        parts.append((evens - 1, odds - 1, 1))
    if not to_odd:
        parts.append((0, 0, 1))
        if evens > odds:
            parts.append((evens - 1, odds - 1, 1))
    for first_even, first_odd, count in parts:
        yield even.narrow(axis, first_even, count), odd.narrow(axis, first_odd, count)


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
        low, high = _split(torch.eye(length, dtype=torch.float64), -1)
        inverse = torch.linalg.inv(torch.cat([low, high], -1).T)
        middle = length // 4
        taps = torch.empty(2, 2, 2 * _REACH + 1, dtype=torch.float64)
        for phase in range(2):
            for band in range(2):
                start = band * (length // 2) + middle - _REACH
                taps[phase, band] = inverse[2 * middle + phase, start : start + 2 * _REACH + 1]
        kernel = torch.einsum("pbi,qcj->pqbcij", taps, taps).flatten(0, 1).flatten(1, 2)
        return kernel.to(device, dtype).contiguous()
