"""Quality of 8-bit pictures, as a viewer gets them, and what curves of it are worth in rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nvcodec.errors import ConfigError
from nvcodec.media import Colour, Frames, UInt8Array
from nvcodec.video.colour import rgb

# What identical pictures score: their PSNR is infinite, which no mean and no JSON can hold.
IDENTICAL = 100.0
_SCALES = 5
_WINDOW = 11


def psnr(reference: UInt8Array, other: UInt8Array) -> npt.NDArray[np.float64]:
    """Peak signal-to-noise ratio of each picture.

    Args:
        reference: uint8, shape (T, ...).
        other: Same shape.

    Returns:
        dB, shape (T,), at most 100, which stands for identical pictures.
    """
    # Differences of bytes fit 16 bits; their squares are summed exactly as integers.
    difference = reference.astype(np.int16) - other
    axes = tuple(range(1, difference.ndim))
    error = np.square(difference, dtype=np.int32).mean(axis=axes, dtype=np.float64)
    with np.errstate(divide="ignore"):
        ratio: npt.NDArray[np.float64] = 10 * np.log10(255.0**2 / error)
    return np.minimum(ratio, IDENTICAL)


def ms_ssim(reference: UInt8Array, other: UInt8Array) -> npt.NDArray[np.float64]:
    """Multi-scale structural similarity of each picture (Wang et al. 2003), five scales.

    The Gaussian window has 11 samples, fewer where the coarsest scale of a small picture would not
    hold it.

    Args:
        reference: Luma, uint8, shape (T, H, W).
        other: Same shape.

    Returns:
        Shape (T,), at most 1; NaN where a side is below 33 samples, too small for five scales.
    """
    import torch
    from pytorch_msssim import ms_ssim as compute

    side = min(reference.shape[1:])
    window = min(_WINDOW, (side - 1) // 2 ** (_SCALES - 1) + 1)
    window -= 1 - window % 2
    if window < 3:
        return np.full(len(reference), np.nan)
    values = []
    for x, y in zip(reference, other, strict=True):
        pair = (torch.from_numpy(plane)[None, None].float() for plane in (x, y))
        values.append(float(compute(*pair, data_range=255, win_size=window)))
    return np.array(values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Quality of a video, means over its frames.

    Attributes:
        frames: How many frames were compared.
        psnr_y: Luma, dB.
        psnr_u: Blue difference, dB.
        psnr_v: Red difference, dB.
        psnr_yuv: (6 Y + U + V) / 8, dB.
        psnr_rgb: After converting both sides alike, dB.
        ms_ssim: Of luma; None for pictures too small for it.
    """

    frames: int
    psnr_y: float
    psnr_u: float
    psnr_v: float
    psnr_yuv: float
    psnr_rgb: float
    ms_ssim: float | None


class QualityMeter:
    """Collects the quality of a video batch by batch.

    Args:
        colour: How the samples of both sides map to light, for `psnr_rgb`.
    """

    def __init__(self, colour: Colour) -> None:
        self._colour = colour
        self._rows: list[npt.NDArray[np.float64]] = []

    def add(self, reference: Frames, other: Frames) -> None:
        """Compare as many frames of two sides of equal size."""
        pictures = [rgb(side.y, side.u, side.v, self._colour) for side in (reference, other)]
        rows = np.stack(
            [
                psnr(reference.y, other.y),
                psnr(reference.u, other.u),
                psnr(reference.v, other.v),
                psnr(pictures[0], pictures[1]),
                ms_ssim(reference.y, other.y),
            ],
            axis=1,
        )
        self._rows.append(rows)

    def result(self) -> Quality:
        """Means over everything added; at least one frame."""
        rows = np.concatenate(self._rows)
        y, u, v, colour, similarity = (float(mean) for mean in rows.mean(axis=0))
        return Quality(
            frames=len(rows),
            psnr_y=y,
            psnr_u=u,
            psnr_v=v,
            psnr_yuv=(6 * y + u + v) / 8,
            psnr_rgb=colour,
            ms_ssim=None if np.isnan(similarity) else similarity,
        )


def bd_rate(anchor: Sequence[tuple[float, float]], test: Sequence[tuple[float, float]]) -> float:
    """How much more rate a codec needs than an anchor, at equal quality.

    Bjøntegaard's difference (VCEG-M33) with monotone piecewise cubics: the logarithm of the rate
    over quality, averaged over the qualities that both curves have. Nothing is extrapolated.

    Args:
        anchor: (rate, quality) of at least two points; any unit of rate, any measure of quality.
        test: The same of the codec in question.

    Returns:
        Per cent, above -100; negative if the test needs less.

    Raises:
        ConfigError: If a curve has fewer than two points, a rate is not positive, rates do not
            rise with quality, or the curves have no range of quality in common.
    """
    curves = [_Curve.of(name, points) for name, points in (("anchor", anchor), ("test", test))]
    low = max(curve.quality[0] for curve in curves)
    high = min(curve.quality[-1] for curve in curves)
    if low >= high:
        ranges = " and ".join(f"{curve.quality[0]:g}..{curve.quality[-1]:g}" for curve in curves)
        raise ConfigError(f"expected curves that overlap in quality, got {ranges}")
    known, other = (curve.integral(high) - curve.integral(low) for curve in curves)
    return float(100 * np.expm1((other - known) / (high - low)))


@dataclass(frozen=True, slots=True)
class _Curve:
    """Logarithm of the rate over quality, a cubic between neighbours (Fritsch and Carlson 1980).

    Attributes:
        quality: Rising, shape (N,).
        log_rate: Rising, shape (N,).
        slope: Derivative of the second by the first, shape (N,).
    """

    quality: npt.NDArray[np.float64]
    log_rate: npt.NDArray[np.float64]
    slope: npt.NDArray[np.float64]

    @classmethod
    def of(cls, name: str, points: Sequence[tuple[float, float]]) -> _Curve:
        """The curve through points, in any order; see `bd_rate`."""
        if len(points) < 2:
            raise ConfigError(f"{name}: expected at least 2 points, got {len(points)}")
        rate, quality = np.array(sorted(points), np.float64).T
        if not (np.isfinite([rate, quality]).all() and rate[0] > 0):
            raise ConfigError(f"{name}: expected finite values and positive rates, got {points}")
        if not (np.diff(rate) > 0).all() or not (np.diff(quality) > 0).all():
            raise ConfigError(f"{name}: expected rates that rise with quality, got {points}")
        log_rate = np.log(rate)
        return cls(quality, log_rate, _slopes(np.diff(quality), np.diff(log_rate)))

    def integral(self, end: float) -> float:
        """From the lowest quality to `end`, which lies within the curve."""
        steps = np.diff(self.quality)
        # How far into each piece the end lies, 0 to 1: whole pieces before it, none after it.
        t = np.clip((end - self.quality[:-1]) / steps, 0, 1)
        # The antiderivatives of the four cubic Hermite polynomials.
        rising = t**3 - t**4 / 2
        leaving = t**2 / 2 - 2 * t**3 / 3 + t**4 / 4
        arriving = t**4 / 4 - t**3 / 3
        values = (t - rising) * self.log_rate[:-1] + rising * self.log_rate[1:]
        bends = leaving * self.slope[:-1] + arriving * self.slope[1:]
        return float((steps * (values + steps * bends)).sum())


def _slopes(
    steps: npt.NDArray[np.float64], rises: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Slopes at the points of a rising curve that keep every cubic between them rising."""
    secants = rises / steps
    if len(secants) == 1:
        return np.repeat(secants, 2)
    # Inside: a harmonic mean of both sides, the shorter of which weighs more.
    before, after = 2 * steps[1:] + steps[:-1], steps[1:] + 2 * steps[:-1]
    inside = (before + after) / (before / secants[:-1] + after / secants[1:])
    ends = [_end_slope(steps[:2], secants[:2]), _end_slope(steps[:-3:-1], secants[:-3:-1])]
    return np.concatenate([ends[:1], inside, ends[1:]])


def _end_slope(steps: npt.NDArray[np.float64], secants: npt.NDArray[np.float64]) -> float:
    """The slope at an end, from the two pieces next to it: a parabola's, unless that falls."""
    parabola = secants[0] + (secants[0] - secants[1]) * steps[0] / steps.sum()
    return float(max(parabola, 0.0))
