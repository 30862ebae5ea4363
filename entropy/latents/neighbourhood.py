"""Context neighbourhoods: positions in a band, their indices in other arrays, sums around them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from nvcodec.media import Int16Array, UInt8Array

Positions = npt.NDArray[np.int64]

LARGEST_SUM = 255
# If fewer than one in so many symbols are not zero, only the sums around these are computed.
_SPARSE = 64


class Neighbourhood:
    """Positions in a band of some frames, and their indices in arrays of other frames and bands.

    Args:
        flat: Indices of the positions into a flat array of the shape.
        shape: Number of these frames, channels, height and width.
        frames: Numbers of these frames in the segment.

    Attributes:
        flat: Indices of the positions into a flat array of the shape, shape (N,) like all that
            follow.
        plane: Index among the planes of these frames.
        frame: Index among these frames.
        channel: Channel.
        y: Row.
        x: Column.
        indices: Index in the band of all frames of the segment.
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
        self.indices = self.in_frames(frames)

    def in_frames(self, frames: Positions) -> Positions:
        """Return the indices of the same positions of other frames, in the band of all frames.

        Args:
            frames: Number of the frame that stands for each of these frames.
        """
        return self.flat + ((frames - np.arange(len(frames))) * self._size).take(self.frame)

    def in_band(self, shape: tuple[int, ...], shift: int) -> Positions:
        """Return the indices of the co-located positions in another band of all frames.

        Args:
            shape: Shape of that band: frames, channels, height, width. A band with one channel
                serves all channels.
            shift: How many scales coarser it is.
        """
        _, channels, height, width = shape
        plane = self._frames.take(self.frame) * channels
        if channels > 1:
            plane += self.channel
        indices: Positions = (plane * height + (self.y >> shift)) * width + (self.x >> shift)
        return indices


def is_odd_square(flat: Positions, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Return whether channel + row + column is odd, for indices into an array of a shape."""
    _, channels, height, width = shape
    row = flat // width
    plane = row // height
    # Even multiples may be left out.
    parity = flat - row * width + row - plane * height + plane
    if channels % 2:
        parity -= plane // channels * channels
    is_odd: npt.NDArray[np.bool_] = parity & 1 == 1
    return is_odd


def take_magnitudes(symbols: Int16Array, indices: Positions) -> Int16Array:
    """Return the magnitudes of symbols at indices, shape (N,)."""
    magnitudes: Int16Array = np.abs(symbols.reshape(-1).take(indices))
    return magnitudes


def take_sums(neighbour_sums: UInt8Array, indices: Positions) -> Int16Array:
    """Return neighbour sums at indices, shape (N,), in a type that can hold totals of them."""
    return neighbour_sums.reshape(-1).take(indices).astype(np.int16)


def add_up(parts: Iterable[Int16Array]) -> Int16Array:
    """Return the sum of arrays of one shape; the first one is changed."""
    first, *others = parts
    for other in others:
        first += other
    return first


def store_neighbour_sums(
    neighbour_sums: UInt8Array, frames: Positions, magnitudes: Int16Array, nonzero: Positions
) -> None:
    """Store the sums of magnitudes over the 3 x 3 positions around each position, at most 255.

    Args:
        neighbour_sums: Sums of all frames; those of the given frames are zero and are set.
        frames: Numbers of the frames.
        magnitudes: Magnitudes of these frames, with a border of zeros; changed.
        nonzero: Flat indices of the magnitudes that are not zero.
    """
    _, channels, height, width = magnitudes.shape
    if _SPARSE * nonzero.size > magnitudes.size:
        nonzero_frames = np.flatnonzero(magnitudes.any(axis=(1, 2, 3)))
        neighbour_sums[frames[nonzero_frames]] = _sums(magnitudes[nonzero_frames])
        return
    offsets = np.array([y * width + x for y in (-1, 0, 1) for x in (-1, 0, 1)])
    around = (nonzero[:, None] + offsets).reshape(-1)
    row = around // width
    plane = row // height
    y, x = row - plane * height - 1, around - row * width - 1
    inside = (y >= 0) & (y < height - 2) & (x >= 0) & (x < width - 2)
    around, plane, y, x = (axis[inside] for axis in (around, plane, y, x))
    sums = add_up(magnitudes.reshape(-1).take(around + offset) for offset in offsets)
    plane += (frames.take(plane // channels) - plane // channels) * channels
    indices = (plane * (height - 2) + y) * (width - 2) + x
    neighbour_sums.reshape(-1)[indices] = np.minimum(sums, LARGEST_SUM)


def _sums(magnitudes: Int16Array) -> UInt8Array:
    """Return sums of magnitudes over the 3 x 3 positions around each position, at most 255.

    Args:
        magnitudes: With a border of zeros, shape (..., height + 2, width + 2); changed.
    """
    np.minimum(magnitudes, LARGEST_SUM, out=magnitudes)
    rows = magnitudes[..., :-2, :] + magnitudes[..., 1:-1, :]
    rows += magnitudes[..., 2:, :]
    sums = rows[..., :-2] + rows[..., 1:-1]
    sums += rows[..., 2:]
    limited: UInt8Array = np.minimum(sums, LARGEST_SUM, out=sums).astype(np.uint8)
    return limited
