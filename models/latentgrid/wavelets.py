"""Multi-scale wavelet transform of planes: biorthogonal 9/7, any size, exact inverse.

The filters are those of Cohen, Daubechies and Feauveau in the lifting form of Daubechies and
Sweldens, "Factoring wavelet transforms into lifting steps" (1998), section 7.5. They are scaled to
be nearly orthonormal: a quantisation error has about the same energy in every band and in the
plane.

Planes are extended by mirroring about their first and last sample. There are therefore exactly as
many coefficients as samples, whatever the size. The inverse takes most of a decoder's time; it is
one convolution per scale, from four bands to the four phases of the finer scale.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# Coefficients of the lifting steps, and the gain of the low band. Part of the bitstream.
_LIFTING = (-1.586134342059924, -0.052980118572961, 0.882911075530934, 0.443506852043971)
_LOW_GAIN = 1.149604398860241
# The longest filter has nine taps: an output depends on five samples of a band.
_HALF_TAPS = 2
_ROWS = torch.contiguous_format


@dataclass(frozen=True, slots=True)
class Pyramid:
    """The subbands of a plane.

    Attributes:
        coarse: Low band of the coarsest scale, shape (..., h, w).
        details: From the finest scale to the coarsest, the bands that are high-pass in x, high-pass
            in y and high-pass in both. Where a side is odd, the high bands are one sample shorter.
    """

    coarse: Tensor
    details: tuple[tuple[Tensor, Tensor, Tensor], ...]


def analysis(planes: Tensor, count: int) -> Pyramid:
    """Split planes into subbands.

    Args:
        planes: Shape (..., H, W), both sides at least 2 at every scale.
        count: Number of scales, at most what `nvcodec.models.latentgrid.subbands.count_scales`
            returns.
    """
    details = []
    for _ in range(count):
        low, high = _split(planes, -1)
        (planes, low_high), (high_low, high_high) = _split(low, -2), _split(high, -2)
        details.append((high_low, low_high, high_high))
    return Pyramid(planes, tuple(details))


def synthesis(pyramid: Pyramid) -> Tensor:
    """Reconstruct planes from subbands, the inverse of `analysis`; differentiable.

    Args:
        pyramid: Bands of shape (..., h, w).

    Returns:
        Planes, shape (..., H, W).
    """
    planes = pyramid.coarse
    batch_shape = planes.shape[:-2]
    planes = planes.flatten(0, -3) if batch_shape else planes[None]
    for bands in reversed(pyramid.details):
        flat = [band.reshape(-1, *band.shape[-2:]) for band in bands]
        planes = synthesis_rows(planes, flat)
    return planes.reshape(*batch_shape, *planes.shape[-2:])


def synthesis_rows(
    coarse: Tensor, details: Sequence[Tensor], start: int = 0, stop: int | None = None
) -> Tensor:
    """Reconstruct rows of planes from the bands of one scale; differentiable.

    Args:
        coarse: Low band, shape (N, h, w), float.
        details: The other three bands, in the order of `Pyramid.details`, of any type.
        start: First row, even.
        stop: Number after the last row; None for all.

    Returns:
        Shape (N, stop - start, W), the type of `coarse`.
    """
    high_x, high_y, _ = details
    height, width = coarse.shape[-2] + high_y.shape[-2], coarse.shape[-1] + high_x.shape[-1]
    stop = height if stop is None else min(stop, height)
    # The rows of the bands that these rows depend on, the mirrored ones included.
    reach = slice(start // 2, (stop + 1) // 2 + 2 * _HALF_TAPS)
    extended = torch.stack(
        [
            _mirrored(band, (height, width), phase, reach).to(coarse)
            for phase, band in enumerate((coarse, *details))
        ],
        dim=1,
    )
    phases = F.conv2d(extended, _kernel(coarse.device, coarse.dtype))
    return F.pixel_shuffle(phases, 2)[:, 0, : stop - start, :width]


def _split(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Split samples along an axis, -1 or -2, into a low and a high band."""
    low, high = _Split.apply(x, axis)  # type: ignore[no-untyped-call]
    return low, high


class _Split(torch.autograd.Function):
    """Lifting in place, and its transpose; several times as fast as autograd over every step."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        ctx.axis = axis
        even, odd = (phase.clone(memory_format=_ROWS) for phase in _phases(x, axis))
        for number in range(len(_LIFTING)):
            _lift(even, odd, axis, number, transposed=False)
        return even.mul_(_LOW_GAIN), odd.mul_(1 / _LOW_GAIN)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        axis = ctx.axis
        even, odd = gradients[0] * _LOW_GAIN, gradients[1] / _LOW_GAIN
        for number in reversed(range(len(_LIFTING))):
            _lift(even, odd, axis, number, transposed=True)
        shape = list(even.shape)
        shape[axis] += odd.shape[axis]
        gradient = even.new_empty(shape)
        for phase, values in zip(_phases(gradient, axis), (even, odd), strict=True):
            phase.copy_(values)
        return gradient, None


def _lift(even: Tensor, odd: Tensor, axis: int, number: int, *, transposed: bool) -> None:
    """Apply one lifting step in place, or its transpose.

    Args:
        even: Even samples of the lines.
        odd: Odd samples of the lines.
        axis: Axis of the lines, -1 or -2.
        number: Number of the step; every other one changes the odd samples, the rest the even ones.
        transposed: Whether to apply the transpose.
    """
    to_odd = number % 2 == 0
    for even_part, odd_part in _adjacent_samples(even, odd, axis, to_odd=to_odd):
        target, source = (odd_part, even_part) if to_odd != transposed else (even_part, odd_part)
        target.add_(source, alpha=_LIFTING[number])


def _phases(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Return views of the even and of the odd samples along an axis."""
    return (x[..., ::2], x[..., 1::2]) if axis == -1 else (x[..., ::2, :], x[..., 1::2, :])


def _adjacent_samples(
    even: Tensor, odd: Tensor, axis: int, *, to_odd: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield pairs of views of equal shape: even samples and the odd samples next to them.

    Args:
        even: Even samples of the lines.
        odd: Odd samples of the lines.
        axis: Axis of the lines, -1 or -2.
        to_odd: Whether every odd sample is paired with two even ones, instead of every even sample
            with two odd ones. Mirroring about the end samples, seen from one phase, repeats the end
            of the other phase.
    """
    evens, odds = even.shape[axis], odd.shape[axis]
    # First even sample, first odd sample, and number of pairs of every part.
    parts = [(0, 0, odds), (1, 0, evens - 1)]
    if to_odd and evens == odds:
        parts.append((evens - 1, odds - 1, 1))
    if not to_odd:
        parts.append((0, 0, 1))
        if evens > odds:
            parts.append((evens - 1, odds - 1, 1))
    for first_even, first_odd, count in parts:
        yield even.narrow(axis, first_even, count), odd.narrow(axis, first_odd, count)


def _mirrored(band: Tensor, size: tuple[int, int], phase: int, rows: slice) -> Tensor:
    """Extend a band by two samples on each side along both axes, by mirroring.

    Args:
        band: The samples of one phase of planes, shape (N, h, w).
        size: Height and width of the planes.
        phase: 0 and 1 for even rows, 2 and 3 for odd ones; the columns of 0 and 2 are even.
        rows: Which rows of the extended band to return.
    """
    height, width = size
    lines = _mirrored_indices(height, phase // 2, band.device)[rows]
    columns = _mirrored_indices(width, phase % 2, band.device)
    # Several times as fast as an index expression.
    return band.index_select(1, lines).index_select(2, columns)


@lru_cache(maxsize=256)
def _mirrored_indices(length: int, phase: int, device: torch.device) -> Tensor:
    """Return indices of a band's samples that extend it by two mirrored samples on each side.

    Args:
        length: Number of samples of the line.
        phase: 0 for even, 1 for odd samples.
        device: Device of the indices.

    Returns:
        Shape (samples of the phase + 4,).
    """
    count = (length + 1) // 2
    period = 2 * (length - 1)
    # A cached tensor must serve fits too, even if a decoder was the first to ask for it.
    with torch.inference_mode(False):
        positions = (2 * torch.arange(-_HALF_TAPS, count + _HALF_TAPS) + phase) % period
        positions = torch.minimum(positions, period - positions)
        return ((positions - phase) // 2).to(device)


@lru_cache(maxsize=8)
def _kernel(device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return the weights of the inverse of one scale, shape (4 phases, 4 bands, 5, 5)."""
    # A cached tensor must serve fits too, even if a decoder was the first to ask for it.
    with torch.inference_mode(False), torch.no_grad():
        # The columns of the inverse of a short line, around its middle, are the filters.
        length = 32
        low, high = _split(torch.eye(length, dtype=torch.float64), -1)
        inverse = torch.linalg.inv(torch.cat([low, high], -1).T)
        middle = length // 4
        taps = torch.empty(2, 2, 2 * _HALF_TAPS + 1, dtype=torch.float64)
        for phase in range(2):
            for band in range(2):
                start = band * (length // 2) + middle - _HALF_TAPS
                taps[phase, band] = inverse[2 * middle + phase, start : start + 2 * _HALF_TAPS + 1]
        kernel = torch.einsum("pbi,qcj->pqbcij", taps, taps).flatten(0, 1).flatten(1, 2)
        return kernel.to(device, dtype).contiguous()
