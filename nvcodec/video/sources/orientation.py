"""Orientation of pictures: applies the rotation of a display matrix to the samples.

Only the eight orientations that move whole samples are supported (quarter turns and mirror images);
any other angle would need resampling, so the caller reports it instead.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from nvcodec.media import UInt8Array


@dataclass(frozen=True, slots=True)
class Orientation:
    """One of the eight orientations of a picture: a transposition followed by mirroring.

    Attributes:
        transpose: Whether rows become columns.
        mirror_x: Whether left and right are then swapped.
        mirror_y: Whether top and bottom are then swapped.
    """

    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    def apply(self, plane: UInt8Array) -> UInt8Array:
        """Turn a plane to the orientation in which it is shown.

        Args:
            plane: Samples, shape (H, W).

        Returns:
            The turned plane, C-contiguous, shape (H, W), or (W, H) when transposing.
        """
        turned = plane.T if self.transpose else plane
        if self.mirror_x:
            turned = turned[:, ::-1]
        if self.mirror_y:
            turned = turned[::-1]
        return np.ascontiguousarray(turned)


UPRIGHT = Orientation()


def from_display_matrix(matrix: bytes) -> Orientation | None:
    """Return the orientation that a display matrix describes.

    The matrix maps a stored point (p, q), p to the right and q down, to
    (a p + c q, b p + d q); its entries a, b, c, d are the 32-bit integers 0, 1, 3 and 4.

    Args:
        matrix: Nine native-endian 32-bit integers, as libavutil keeps them.

    Returns:
        The orientation, or None if the matrix is not one of the eight.
    """
    if len(matrix) < 36:
        return None
    values = struct.unpack("=9i", matrix[:36])
    a, b, c, d = values[0], values[1], values[3], values[4]
    # Entries below a hundredth of the largest one are rounded zeros; a slanted angle has none.
    limit = max(abs(a), abs(b), abs(c), abs(d)) / 100
    if limit == 0:
        return None
    if abs(b) <= limit and abs(c) <= limit and a and d:
        return Orientation(False, a < 0, d < 0)
    if abs(a) <= limit and abs(d) <= limit and b and c:
        return Orientation(True, c < 0, b < 0)
    return None


def from_rotation(degrees: float) -> Orientation | None:
    """Return the orientation of an anticlockwise turn, for frames whose matrix cannot be read.

    Args:
        degrees: Anticlockwise angle, degrees.

    Returns:
        The orientation, or None if the angle is not a multiple of 90.
    """
    return {
        0: UPRIGHT,
        90: Orientation(True, False, True),
        180: Orientation(False, True, True),
        270: Orientation(True, True, False),
    }.get(round(degrees) % 360 if abs(degrees - round(degrees)) < 0.5 else -1)
