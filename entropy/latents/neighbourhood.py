"""Places in a band of grids, and what lies around them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from nvcodec.media import Int16Array, UInt8Array

Positions = npt.NDArray[np.int64]

LARGEST_SUM = 255
# With fewer symbols that are not zero than one in so many, what is around them is found one by one.
_SPARSE = 64


class Neighbourhood:
    """Positions in a band of some frames.

    Args:
        flat: Indices into an array of the shape.
        shape: Frames, channels, height, width.
        frames: Numbers of the frames.

    Attributes:
        flat: As given.
        plane: Index among the planes of these frames, shape (N,) like all that follows.
        frame: Index among these frames.
        channel: Channel.
        y: Row.
        x: Column.
        where: Index in the band of all frames of the segment.
    """

    def __init__(self, flat: Positions, shape: tuple[int, ...], frames: Positions) -> None:
        _, channels, height, width = shape
        row = flat // width
        self.flat, self.x = flat, flat - row * width
        self.plane = row // height
        self.y = row - self.plane * height
        self.frame = self.plane // channels if channels > 1 else self.plane
        self.channel = self.plane - self.frame * channels
        self._size, self._frames = channels * height * width, frames
        self.where = self.in_frames(frames)

    def in_frames(self, frames: Positions) -> Positions:
        """Index of the same positions of other frames in the band of all frames."""
        return self.flat + ((frames - np.arange(len(frames))) * self._size).take(self.frame)

    def in_band(self, shape: tuple[int, ...], shift: int) -> Positions:
        """Index in another band of all frames.

        Args:
            shape: Of that band; where it has one channel, that is meant.
            shift: How much coarser it is.
        """
        _, channels, height, width = shape
        plane = self._frames.take(self.frame) * channels
        if channels > 1:
            plane += self.channel
        found: Positions = (plane * height + (self.y >> shift)) * width + (self.x >> shift)
        return found


def odd_places(flat: Positions, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Whether channel + row + column is odd, for indices into an array of a shape."""
    _, channels, height, width = shape
    row = flat // width
    plane = row // height
    # Whatever is even may be left out.
    rest = flat - row * width + row - plane * height + plane
    if channels % 2:
        rest -= plane // channels * channels
    odd: npt.NDArray[np.bool_] = rest & 1 == 1
    return odd


def magnitudes_at(symbols: Int16Array, where: Positions) -> Int16Array:
    """Magnitudes of some symbols, shape (N,)."""
    found: Int16Array = np.abs(symbols.reshape(-1).take(where))
    return found


def sums_at(near: UInt8Array, where: Positions) -> Int16Array:
    """Some of the sums that `add_sums` enters, shape (N,), in a type to add them up in."""
    return near.reshape(-1).take(where).astype(np.int16)


def total(parts: Iterable[Int16Array]) -> Int16Array:
    """Sum of arrays of one shape; the first one is changed."""
    first, *others = parts
    for other in others:
        first += other
    return first


def add_sums(
    near: UInt8Array, frames: Positions, magnitudes: Int16Array, nonzero: Positions
) -> None:
    """Enter what `_sums` says of some frames, all zeros before.

    Args:
        near: Of all frames.
        frames: Which ones.
        magnitudes: Of these, with a border of zeros; changed.
        nonzero: Where they are not zero, indices.
    """
    _, channels, height, width = magnitudes.shape
    if _SPARSE * nonzero.size > magnitudes.size:
        some = np.flatnonzero(magnitudes.any(axis=(1, 2, 3)))
        near[frames[some]] = _sums(magnitudes[some])
        return
    steps = np.array([y * width + x for y in (-1, 0, 1) for x in (-1, 0, 1)])
    around = (nonzero[:, None] + steps).reshape(-1)
    row = around // width
    plane = row // height
    y, x = row - plane * height - 1, around - row * width - 1
    inside = (y >= 0) & (y < height - 2) & (x >= 0) & (x < width - 2)
    around, plane, y, x = (axis[inside] for axis in (around, plane, y, x))
    sums = total(magnitudes.reshape(-1).take(around + step) for step in steps)
    plane += (frames.take(plane // channels) - plane // channels) * channels
    where = (plane * (height - 2) + y) * (width - 2) + x
    near.reshape(-1)[where] = np.minimum(sums, LARGEST_SUM)


def _sums(magnitudes: Int16Array) -> UInt8Array:
    """Sums over the 3 x 3 positions around every one, at most 255.

    Args:
        magnitudes: With a border of zeros: shape (..., height + 2, width + 2); changed.
    """
    np.minimum(magnitudes, LARGEST_SUM, out=magnitudes)
    rows = magnitudes[..., :-2, :] + magnitudes[..., 1:-1, :]
    rows += magnitudes[..., 2:, :]
    sums = rows[..., :-2] + rows[..., 1:-1]
    sums += rows[..., 2:]
    limited: UInt8Array = np.minimum(sums, LARGEST_SUM, out=sums).astype(np.uint8)
    return limited
