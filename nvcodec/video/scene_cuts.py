"""Where one shot ends and another begins, from small copies of the luma pictures.

A cut is a picture that is not the one before it, moved. Three things must hold, so that neither fast
motion, nor fades, nor flashes are taken for one:

    dissimilar   what is left after a search for motion, in units of the picture's own detail, plus
                 the change of the histogram
    sudden       left over much more than around it (motion and fades last longer than one picture)
    lasting      no picture just before resembles one just after, also when contrast and brightness
                 are equalised (a flash is over after a few pictures)

What is decided follows from the pictures alone: never from lengths, settings or earlier cuts.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from nvcodec.media import Float32Array, UInt8Array

# Pictures looked at on either side of a possible cut; a flash or a shot that is shorter is none.
AROUND = 4

# From 5 200 pictures of 21 clips with 38 cuts. Dissimilar: cuts begin at 1.47, motion ends at 1.19.
# Sudden: 2.5 against 1.7 in gunfire. Lasting: 1.09 against 0.94.
_DISSIMILAR = 1.3
_SUDDEN = 2.0
_LASTING = 1.0
# Mean difference, in levels, up to which a picture shows the same still scene as another.
_STILL = 6.0

_WIDTH = 64  # about so many columns has a small copy
_REACH = 6  # cells that a block may have moved from picture to picture: a tenth of the width
_BLOCK = 8
_BINS = 32
_FLAT = 2.0  # levels of detail; a black picture, with some noise
_LEAST_DETAIL = 4.0  # levels; in flat pictures noise must not count for much
_LEAST_CHANGE = 0.5  # levels; what counts as change between still pictures
_CONTRAST = (0.25, 4.0)


def small_copies(luma: UInt8Array) -> Float32Array:
    """Means over square cells.

    Args:
        luma: Shape (T, H, W).

    Returns:
        Levels, shape (T, h, w), with w about 64; rows and columns left over are not looked at.
    """
    count, height, width = luma.shape
    cell = max(1, round(width / _WIDTH))
    # A picture may be a single line high.
    rows, columns = min(cell, height), min(cell, width)
    h, w = height // rows, width // columns
    cells = luma[:, : h * rows, : w * columns].reshape(count, h, rows, w, columns)
    sums = cells.sum(2, dtype=np.uint32).sum(3, dtype=np.uint32)
    means: Float32Array = (sums / (rows * columns)).astype(np.float32)
    return means


def still(first: Float32Array, later: Float32Array) -> bool:
    """Whether two small copies show the same scene with little or no motion."""
    return float(np.abs(later - first).mean()) <= _STILL


def unlike(before: Float32Array, after: Float32Array) -> float:
    """How little of a picture is another one, moved.

    Args:
        before: A small copy.
        after: Another of the same shape.

    Returns:
        About 0 for the same scene, above 1.3 for another; at least 0, without a limit.
    """
    return _unlike(_left_over(before, after), before, after)


def _unlike(left: float, before: Float32Array, after: Float32Array) -> float:
    return left / max(_detail(after), _LEAST_DETAIL) + 2 * _histogram_change(before, after)


def _left_over(before: Float32Array, after: Float32Array) -> float:
    """Mean absolute difference after every block has found the place where it fits best."""
    block = min(_BLOCK, *after.shape)
    h, w = (side // block * block for side in after.shape)
    padded = np.pad(before, _REACH, mode="edge")
    moved = sliding_window_view(padded, after.shape)[:, :, :h, :w]
    best = np.full((h // block, w // block), np.inf, np.float32)
    for row in moved:  # one row of displacements at a time stays in the cache
        difference = np.abs(row - after[:h, :w])
        sums = np.add.reduce(difference.reshape(len(row), h // block, block, w), 2)
        sums = np.add.reduce(sums.reshape(len(row), h // block, w // block, block), 3)
        np.minimum(best, sums.min(0), out=best)
    return float(best.mean()) / block**2


def _detail(picture: Float32Array) -> float:
    """Mean absolute difference to the mean of the block."""
    block = min(_BLOCK, *picture.shape)
    h, w = (side // block * block for side in picture.shape)
    blocks = picture[:h, :w].reshape(h // block, block, w // block, block)
    return float(np.abs(blocks - blocks.mean((1, 3), keepdims=True)).mean())


def _histogram_change(before: Float32Array, after: Float32Array) -> float:
    """Share of the samples that moved to another of 32 bins."""
    counts = [
        np.bincount((picture.ravel() * (_BINS / 256)).astype(np.int64), minlength=_BINS)
        for picture in (before, after)
    ]
    return float(np.abs(counts[0] - counts[1]).sum()) / (2 * after.size)


def _equalised(picture: Float32Array, like: Float32Array) -> Float32Array:
    """A picture with the brightness and contrast of another, as far as that can be had."""
    gain = np.clip((like.std() + 1) / (picture.std() + 1), *_CONTRAST)
    changed = (picture - picture.mean()) * gain + like.mean()
    within: Float32Array = np.clip(changed, 0, 255).astype(np.float32)
    return within


def is_cut(before: Sequence[Float32Array], after: Sequence[Float32Array]) -> bool:
    """Whether a new shot begins between pictures.

    Args:
        before: Small copies of the last `AROUND` pictures before, the nearest last; fewer at the
            beginning of the video, but one at least.
        after: The first `AROUND` after, the nearest first; fewer at the end, but one at least.
    """
    change = _left_over(before[-1], after[0])
    if _unlike(change, before[-1], after[0]) < _DISSIMILAR:
        return False
    around = [_left_over(*pair) for shot in (before, after) for pair in pairwise(shot)]
    if around and change < _SUDDEN * max(float(np.median(around)), _LEAST_CHANGE):
        return False
    if _detail(before[-1]) < _FLAT and len(after) > 1:
        # A flat picture is like nothing that follows: a fade begins if it goes on as it began.
        steps = [float(np.abs(b - a).mean()) for a, b in pairwise([before[-1], *after[:2]])]
        if steps[1] > steps[0] / 2:
            return False
    return all(
        unlike(_equalised(old, new), new) >= _LASTING and unlike(old, new) >= _LASTING
        for old in before
        for new in after
    )
