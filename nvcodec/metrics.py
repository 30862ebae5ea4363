"""Quality of 8-bit pictures, as a viewer gets them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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
