"""Quality metrics of decoded video: PSNR, MS-SSIM and BD-rate.

Pictures are compared as a viewer gets them: 8-bit samples at the size of the source. `QualityMeter`
collects the metrics of a video batch by batch, `psnr` and `ms_ssim` compare single planes, and
`bd_rate` compares two rate-distortion curves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nvcodec.errors import ConfigError
from nvcodec.media import Colour, Frames, UInt8Array
from nvcodec.video.colour import rgb

IDENTICAL = 100.0
"""PSNR reported for identical pictures, dB. The true value is infinite, which neither a mean nor
JSON can hold."""
_SCALES = 5
_WINDOW = 11


def psnr(reference: UInt8Array, other: UInt8Array) -> npt.NDArray[np.float64]:
    """Return the peak signal-to-noise ratio of each picture, 10 log10(255**2 / MSE).

    Args:
        reference: Samples of T pictures, uint8, shape (T, ...).
        other: Samples to compare, uint8, same shape.

    Returns:
        PSNR of each picture, dB, float64, shape (T,), at most `IDENTICAL`.
    """
    # Differences of 8-bit samples fit 16 bits, and their squares 32 bits.
    difference = reference.astype(np.int16) - other
    axes = tuple(range(1, difference.ndim))
    error = np.square(difference, dtype=np.int32).mean(axis=axes, dtype=np.float64)
    with np.errstate(divide="ignore"):
        ratio: npt.NDArray[np.float64] = 10 * np.log10(255.0**2 / error)
    return np.minimum(ratio, IDENTICAL)


def ms_ssim(reference: UInt8Array, other: UInt8Array) -> npt.NDArray[np.float64]:
    """Return the multi-scale structural similarity of each picture, over five scales.

    The metric is that of Wang, Simoncelli and Bovik, "Multiscale structural similarity for image
    quality assessment" (Asilomar 2003). The Gaussian window has 11 samples, or fewer if the
    coarsest scale of a small picture would not hold 11.

    Args:
        reference: Luma planes, uint8, shape (T, H, W).
        other: Luma planes to compare, uint8, same shape.

    Returns:
        MS-SSIM of each picture, float64, shape (T,), at most 1; NaN if a side has fewer than 33
        samples, which is too small for five scales.
    """
    import torch
    from pytorch_msssim import ms_ssim as compute

    from nvcodec.host.settings import OwnSettings

    side = min(reference.shape[1:])
    window = min(_WINDOW, (side - 1) // 2 ** (_SCALES - 1) + 1)
    window -= 1 - window % 2
    if window < 3:
        return np.full(len(reference), np.nan)
    values = []
    for x, y in zip(reference, other, strict=True):
        with OwnSettings():
            pair = (torch.from_numpy(plane)[None, None].float() for plane in (x, y))
            values.append(float(compute(*pair, data_range=255, win_size=window)))
    return np.array(values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Quality of a video: means of each metric over its frames.

    Attributes:
        frames: Number of frames compared.
        psnr_y: PSNR of luma (Y), dB.
        psnr_u: PSNR of the blue difference (U), dB.
        psnr_v: PSNR of the red difference (V), dB.
        psnr_yuv: Weighted PSNR, (6 psnr_y + psnr_u + psnr_v) / 8, dB.
        psnr_rgb: PSNR after both videos were converted to R'G'B' alike, dB.
        ms_ssim: MS-SSIM of luma, at most 1; None for pictures too small for it.
    """

    frames: int
    psnr_y: float
    psnr_u: float
    psnr_v: float
    psnr_yuv: float
    psnr_rgb: float
    ms_ssim: float | None


class QualityMeter:
    """Measures the quality of a video batch by batch.

    Args:
        colour: Colour description of both videos, used for `psnr_rgb`.
    """

    def __init__(self, colour: Colour) -> None:
        self._colour = colour
        self._rows: list[npt.NDArray[np.float64]] = []

    def add(self, reference: Frames, other: Frames) -> None:
        """Compare a batch of frames.

        Args:
            reference: Frames of the source.
            other: Frames to compare, the same number and size.
        """
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
        """Return the means over all frames added, of which there must be at least one."""
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
    """Return the Bjøntegaard delta rate: how much more rate a codec needs at equal quality.

    The logarithm of the rate is interpolated over quality and averaged over the qualities that both
    curves cover; nothing is extrapolated (Bjøntegaard, VCEG-M33, with the monotone piecewise cubics
    of Fritsch and Carlson in place of one cubic).

    Args:
        anchor: (rate, quality) of at least two points of the anchor, in any order, any unit of rate
            and any metric of quality.
        test: (rate, quality) of at least two points of the codec under test, in the same units.

    Returns:
        Rate difference in per cent, above -100; negative if the codec under test needs less rate.

    Raises:
        ConfigError: If a curve has fewer than two points, a value is not finite, a rate is not
            positive, rates do not rise with quality, or the curves have no range of quality in
            common.
    """
    curves = [_Curve.through(name, points) for name, points in (("anchor", anchor), ("test", test))]
    low = max(curve.quality[0] for curve in curves)
    high = min(curve.quality[-1] for curve in curves)
    if low >= high:
        ranges = " and ".join(f"{curve.quality[0]:g}..{curve.quality[-1]:g}" for curve in curves)
        raise ConfigError(f"expected curves that overlap in quality, got {ranges}")
    anchor_area, test_area = (curve.integral(high) - curve.integral(low) for curve in curves)
    return float(100 * np.expm1((test_area - anchor_area) / (high - low)))


@dataclass(frozen=True, slots=True)
class _Curve:
    """Rate-distortion curve: log rate over quality, a cubic between neighbouring points.

    The cubics are monotone (Fritsch and Carlson, "Monotone piecewise cubic interpolation", 1980).

    Attributes:
        quality: Quality of each point, rising, shape (N,).
        log_rate: Natural logarithm of each rate, rising, shape (N,).
        slope: Derivative of `log_rate` by `quality` at each point, shape (N,).
    """

    quality: npt.NDArray[np.float64]
    log_rate: npt.NDArray[np.float64]
    slope: npt.NDArray[np.float64]

    @classmethod
    def through(cls, name: str, points: Sequence[tuple[float, float]]) -> _Curve:
        """Check (rate, quality) points and return the curve through them."""
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
        """Integrate the curve from its lowest quality to `end`, which lies within the curve."""
        intervals = np.diff(self.quality)
        # Share of each interval before `end`: 1 for whole intervals, 0 for those after it.
        t = np.clip((end - self.quality[:-1]) / intervals, 0, 1)
        # Antiderivatives of the four cubic Hermite polynomials.
        right_value = t**3 - t**4 / 2
        left_slope = t**2 / 2 - 2 * t**3 / 3 + t**4 / 4
        right_slope = t**4 / 4 - t**3 / 3
        values = (t - right_value) * self.log_rate[:-1] + right_value * self.log_rate[1:]
        slopes = left_slope * self.slope[:-1] + right_slope * self.slope[1:]
        return float((intervals * (values + intervals * slopes)).sum())


def _slopes(
    intervals: npt.NDArray[np.float64], rises: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return slopes at the points of a rising curve that keep every cubic between them rising."""
    secants = rises / intervals
    if len(secants) == 1:
        return np.repeat(secants, 2)
    # At inner points: a harmonic mean of both secants, in which the shorter interval weighs more.
    before, after = 2 * intervals[1:] + intervals[:-1], intervals[1:] + 2 * intervals[:-1]
    inner = (before + after) / (before / secants[:-1] + after / secants[1:])
    ends = [
        _end_slope(intervals[:2], secants[:2]),
        _end_slope(intervals[:-3:-1], secants[:-3:-1]),
    ]
    return np.concatenate([ends[:1], inner, ends[1:]])


def _end_slope(intervals: npt.NDArray[np.float64], secants: npt.NDArray[np.float64]) -> float:
    """Return the slope at an end point, that of a parabola through three points, at least 0."""
    parabola = secants[0] + (secants[0] - secants[1]) * intervals[0] / intervals.sum()
    return float(max(parabola, 0.0))
