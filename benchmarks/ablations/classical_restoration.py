"""Classical inpainting and denoising, as baselines. Planes are uint8, shape (T, H, W)."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from nvcodec.media import BoolArray, UInt8Array

# A function of planes, or a plane, and the mask of valid samples, of the same shape.
Fill = Callable[[UInt8Array, BoolArray], UInt8Array]


def apply_per_frame(fill: Fill) -> Fill:
    """Return a function that applies a function of one plane frame by frame."""
    return lambda planes, valid: np.stack(
        [fill(*frame) for frame in zip(planes, valid, strict=True)]
    )


def mean_filled(plane: UInt8Array, valid: BoolArray) -> UInt8Array:
    """Fill with the mean of the valid samples."""
    return np.where(valid, plane, round(float(plane[valid].mean()))).astype(np.uint8)


def telea(plane: UInt8Array, valid: BoolArray) -> UInt8Array:
    """Fill by OpenCV with radius 3 (Telea 2004)."""
    return np.asarray(cv2.inpaint(plane, (~valid).astype(np.uint8), 3, cv2.INPAINT_TELEA))


def navier_stokes(plane: UInt8Array, valid: BoolArray) -> UInt8Array:
    """Fill by OpenCV with radius 3 (Bertalmio et al., CVPR 2001)."""
    return np.asarray(cv2.inpaint(plane, (~valid).astype(np.uint8), 3, cv2.INPAINT_NS))


def nearest_in_time(planes: UInt8Array, valid: BoolArray) -> UInt8Array:
    """Fill from the nearest frame in which a sample is valid, the earlier of two; else by `telea`."""
    restored = apply_per_frame(telea)(planes, valid)
    count = len(planes)
    for t in range(count):
        missing = ~valid[t]
        for distance in range(1, count):
            for other in (t - distance, t + distance):
                if 0 <= other < count:
                    copied = missing & valid[other]
                    restored[t][copied] = planes[other][copied]
                    missing &= ~copied
    return restored


def median(planes: UInt8Array, side: int) -> UInt8Array:
    """Denoise by the median over squares of each frame.

    Args:
        planes: Noisy planes.
        side: Side of the squares in samples.
    """
    return np.stack([cv2.medianBlur(plane, side) for plane in planes])


def non_local_means(planes: UInt8Array, strength: float) -> UInt8Array:
    """Denoise by OpenCV's non-local means over three frames; the first and last frame by themselves.

    Args:
        planes: Noisy planes.
        strength: Strength of the filter.
    """
    restored = []
    for t in range(len(planes)):
        if 0 < t < len(planes) - 1:
            part = list(planes[t - 1 : t + 2])
            restored.append(cv2.fastNlMeansDenoisingMulti(part, 1, 3, None, strength, 7, 21))
        else:
            restored.append(cv2.fastNlMeansDenoising(planes[t], None, strength, 7, 21))
    return np.stack(restored)
