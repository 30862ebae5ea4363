"""Filling of masked samples, and propagation of a mask to chroma planes and scaled pictures.

Masked samples are replaced by a smooth surface through the valid ones. An encoder, a scaling filter
or a search for scene cuts then meets neither the masked content nor an edge around it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nvcodec.media import BoolArray, Planes, UInt8Array

_GREY = 128
_Float32Array = npt.NDArray[np.float32]


def filled_picture(picture: Planes, valid_mask: BoolArray) -> Planes:
    """Fill the masked samples of a picture.

    Args:
        picture: y (H, W), u and v (ceil(H / 2), ceil(W / 2)), uint8.
        valid_mask: True for valid luma samples, shape (H, W).
    """
    y, u, v = picture
    chroma = valid_chroma(valid_mask)
    return filled(y, valid_mask), filled(u, chroma), filled(v, chroma)


def filled(plane: UInt8Array, valid_mask: BoolArray) -> UInt8Array:
    """Fill the masked samples of a plane with a smooth continuation of the valid ones.

    The valid samples are averaged at ever coarser scales. The averages are then interpolated back
    from scale to scale, and each scale keeps its own valid samples (pull-push; Gortler et al., "The
    lumigraph", SIGGRAPH 1996, section 3.4).

    Args:
        plane: Samples, uint8, shape (H, W).
        valid_mask: True for valid samples, same shape. If no sample is valid, the result is middle
            grey.

    Returns:
        The filled plane, uint8, shape (H, W); valid samples are unchanged.
    """
    if valid_mask.all():
        return plane
    if not valid_mask.any():
        return np.full_like(plane, _GREY)
    weights = valid_mask.astype(np.float32)
    values = plane * weights
    scales = []
    while not weights.all():
        scales.append((values, weights))
        sums, weights = _sum_fours(values * weights), _sum_fours(weights)
        values = sums / np.maximum(weights, 1)
        # A mean of fewer than four valid samples is still a mean of them; only its weight is lower.
        np.divide(sums, weights, out=values, where=weights > 0)
        weights = np.minimum(weights, 1)
    for finer, share in reversed(scales):
        height, width = finer.shape
        coarse = _double_rows(_double_rows(values).T).T[:height, :width]
        values = share * finer + (1 - share) * coarse
    smooth = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return np.where(valid_mask, plane, smooth)


def _sum_fours(plane: _Float32Array) -> _Float32Array:
    """Sum squares of 2 x 2 samples; samples beyond the border count as zero."""
    height, width = plane.shape
    even = np.pad(plane, ((0, height % 2), (0, width % 2)))
    rows = even[::2] + even[1::2]
    sums: _Float32Array = rows[:, ::2] + rows[:, 1::2]
    return sums


def _double_rows(plane: _Float32Array) -> _Float32Array:
    """Double the number of rows by linear interpolation."""
    padded = np.pad(plane, ((1, 1), (0, 0)), mode="edge")
    rows = np.stack([padded[:-2] + 3 * plane, padded[2:] + 3 * plane], axis=1) / 4
    return rows.reshape(-1, plane.shape[1])


def valid_chroma(valid_mask: BoolArray) -> BoolArray:
    """Return which chroma samples depend on valid pixels only, for any chroma siting and filter.

    Args:
        valid_mask: True for valid luma samples, shape (..., H, W).

    Returns:
        True where the four pixels that a chroma sample covers and those around them are valid,
        shape (..., ceil(H / 2), ceil(W / 2)).
    """
    for axis in (-2, -1):
        count = valid_mask.shape[axis]
        starts = np.arange(0, count, 2)
        valid_mask = _all_between(
            valid_mask, axis, np.maximum(starts - 1, 0), np.minimum(starts + 3, count)
        )
    return valid_mask


def resized_mask(valid_mask: BoolArray, width: int, height: int) -> BoolArray:
    """Return which pixels of a scaled picture are valid: those that cover valid pixels only.

    Args:
        valid_mask: True for valid pixels, shape (H, W).
        width: Target width in samples.
        height: Target height in samples.

    Returns:
        True for valid pixels, shape (height, width).
    """
    for axis, target in ((0, height), (1, width)):
        count = valid_mask.shape[axis]
        if target != count:
            positions = np.arange(target)
            first, last = positions * count // target, -(-(positions + 1) * count // target)
            valid_mask = _all_between(valid_mask, axis, first, last)
    return valid_mask


def _all_between(
    valid_mask: BoolArray, axis: int, first: npt.NDArray[np.int64], last: npt.NDArray[np.int64]
) -> BoolArray:
    """Return whether all samples of each range [first, last) along an axis are valid."""
    masked = np.cumsum(~valid_mask, axis, dtype=np.int32)
    before = np.concatenate([np.zeros_like(masked.take([0], axis)), masked], axis)
    all_valid: BoolArray = before.take(last, axis) == before.take(first, axis)
    return all_valid
