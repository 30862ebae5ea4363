"""Classical means of filling in and denoising, for comparison. Planes are uint8, shape (T, H, W)."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from nvcodec.media import BoolArray, UInt8Array

# From planes, or a plane, and what is known of them, of the same shape.
Fill = Callable[[UInt8Array, BoolArray], UInt8Array]


def each(fill: Fill) -> Fill:
    """Frame by frame."""
    return lambda planes, known: np.stack([fill(*one) for one in zip(planes, known, strict=True)])


def mean_filled(plane: UInt8Array, known: BoolArray) -> UInt8Array:
    """The mean of the known samples."""
    return np.where(known, plane, round(float(plane[known].mean()))).astype(np.uint8)


def telea(plane: UInt8Array, known: BoolArray) -> UInt8Array:
    """OpenCV, radius 3 (Telea 2004)."""
    return np.asarray(cv2.inpaint(plane, (~known).astype(np.uint8), 3, cv2.INPAINT_TELEA))


def navier_stokes(plane: UInt8Array, known: BoolArray) -> UInt8Array:
    """OpenCV, radius 3 (Bertalmio et al., CVPR 2001)."""
    return np.asarray(cv2.inpaint(plane, (~known).astype(np.uint8), 3, cv2.INPAINT_NS))


def nearest_in_time(planes: UInt8Array, known: BoolArray) -> UInt8Array:
    """From the nearest frame that shows a pixel; the earlier one of two."""
    made = each(telea)(planes, known)
    count = len(planes)
    for t in range(count):
        missing = ~known[t]
        for distance in range(1, count):
            for other in (t - distance, t + distance):
                if 0 <= other < count:
                    use = missing & known[other]
                    made[t][use] = planes[other][use]
                    missing &= ~use
    return made


def median(planes: UInt8Array, side: int) -> UInt8Array:
    """Over squares of each frame."""
    return np.stack([cv2.medianBlur(plane, side) for plane in planes])


def non_local_means(planes: UInt8Array, strength: float) -> UInt8Array:
    """Of three frames where there are; at the ends of one."""
    made = []
    for t in range(len(planes)):
        if 0 < t < len(planes) - 1:
            part = list(planes[t - 1 : t + 2])
            made.append(cv2.fastNlMeansDenoisingMulti(part, 1, 3, None, strength, 7, 21))
        else:
            made.append(cv2.fastNlMeansDenoising(planes[t], None, strength, 7, 21))
    return np.stack(made)
