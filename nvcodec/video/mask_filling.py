"""Pictures of which some pixels must not be seen: which samples that hides, and what stands there.

Hidden samples are replaced by a smooth surface through the known ones, so that neither an encoder, nor a
filter that scales pictures, nor a search for cuts meets anything of what was there, or an edge.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nvcodec.media import BoolArray, Planes, UInt8Array

_GREY = 128
_Float32Array = npt.NDArray[np.float32]


def filled_picture(picture: Planes, valid_mask: BoolArray) -> Planes:
    """A picture without what is hidden.

    Args:
        picture: y (H, W), u and v (ceil(H / 2), ceil(W / 2)), uint8.
        valid_mask: Of luma, shape (H, W).
    """
    y, u, v = picture
    chroma = valid_chroma(valid_mask)
    return filled(y, valid_mask), filled(u, chroma), filled(v, chroma)


def filled(plane: UInt8Array, valid_mask: BoolArray) -> UInt8Array:
    """A plane whose hidden samples continue the known ones smoothly.

    Means of the known samples on ever coarser grids, then back, each grid keeping what it knows
    (Gortler et al., "The lumigraph", SIGGRAPH 1996, section 3.4).

    Args:
        plane: uint8, shape (H, W).
        valid_mask: Same shape. Where nothing is, all becomes middle grey.
    """
    if valid_mask.all():
        return plane
    if not valid_mask.any():
        return np.full_like(plane, _GREY)
    weights = valid_mask.astype(np.float32)
    values = plane * weights
    grids = []
    while not weights.all():
        grids.append((values, weights))
        sums, weights = _fours(values * weights), _fours(weights)
        values = sums / np.maximum(weights, 1)
        # Below four known samples a mean is still theirs alone; it only counts for less.
        np.divide(sums, weights, out=values, where=weights > 0)
        weights = np.minimum(weights, 1)
    for finer, share in reversed(grids):
        height, width = finer.shape
        coarse = _doubled(_doubled(values).T).T[:height, :width]
        values = share * finer + (1 - share) * coarse
    smooth = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return np.where(valid_mask, plane, smooth)


def _fours(plane: _Float32Array) -> _Float32Array:
    """Sums over squares of two samples; beyond the border is nothing."""
    height, width = plane.shape
    even = np.pad(plane, ((0, height % 2), (0, width % 2)))
    rows = even[::2] + even[1::2]
    sums: _Float32Array = rows[:, ::2] + rows[:, 1::2]
    return sums


def _doubled(plane: _Float32Array) -> _Float32Array:
    """Twice as many rows, between those there are."""
    padded = np.pad(plane, ((1, 1), (0, 0)), mode="edge")
    rows = np.stack([padded[:-2] + 3 * plane, padded[2:] + 3 * plane], axis=1) / 4
    return rows.reshape(-1, plane.shape[1])


def valid_chroma(valid_mask: BoolArray) -> BoolArray:
    """Which chroma samples are made of known pixels only, however chroma was sited and filtered.

    Args:
        valid_mask: Of luma, shape (..., H, W).

    Returns:
        Shape (..., ceil(H / 2), ceil(W / 2)): where the four pixels that a sample covers and those
        around them are known.
    """
    for axis in (-2, -1):
        count = valid_mask.shape[axis]
        starts = np.arange(0, count, 2)
        valid_mask = _all_between(
            valid_mask, axis, np.maximum(starts - 1, 0), np.minimum(starts + 3, count)
        )
    return valid_mask


def resized_mask(valid_mask: BoolArray, width: int, height: int) -> BoolArray:
    """Which pixels of a scaled picture are known: those that cover known ones only.

    Args:
        valid_mask: Shape (H, W).
        width: Wanted width in samples.
        height: Wanted height in samples.
    """
    for axis, wanted in ((0, height), (1, width)):
        count = valid_mask.shape[axis]
        if wanted != count:
            places = np.arange(wanted)
            first, last = places * count // wanted, -(-(places + 1) * count // wanted)
            valid_mask = _all_between(valid_mask, axis, first, last)
    return valid_mask


def _all_between(
    valid_mask: BoolArray, axis: int, first: npt.NDArray[np.int64], last: npt.NDArray[np.int64]
) -> BoolArray:
    """Whether all samples of each of some stretches along an axis are known; ends excluded."""
    hidden = np.cumsum(~valid_mask, axis, dtype=np.int32)
    before = np.concatenate([np.zeros_like(hidden.take([0], axis)), hidden], axis)
    none: BoolArray = before.take(last, axis) == before.take(first, axis)
    return none
