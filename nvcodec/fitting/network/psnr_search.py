"""Searches for the size at which a segment reaches a wanted PSNR."""

from __future__ import annotations

from math import log2

# A fit within this of the wanted PSNR will do, and no more fits than this are made for it.
PSNR_TOLERANCE = 0.15


MOST_FITS = 4


# Until two fits say better: what doubling the size gains.
_DB_PER_DOUBLING = 2.0


_SLOPES = (0.7, 6.0)


_LARGEST_LEAP = 3.0  # octaves


class PsnrSearch:
    """Looks for the size at which a segment reaches a PSNR, fit by fit.

    Args:
        target: Wanted luma PSNR, dB.
        bits: Size to try first.

    Attributes:
        bits: Size to try next.
        best: Number of the fit that came nearest, from 0.
        nearest: Its PSNR, dB.
    """

    def __init__(self, target: float, bits: float) -> None:
        self._target = target
        self.bits = bits
        self.best = 0
        self.nearest = float("-inf")
        self._tried: list[tuple[float, float]] = []

    @property
    def reached(self) -> bool:
        """Whether the nearest fit is near enough."""
        return abs(self.nearest - self._target) <= PSNR_TOLERANCE

    def update(self, bits: float, psnr: float) -> bool:
        """Take account of a fit.

        Args:
            bits: Its actual size.
            psnr: Its luma PSNR, dB.

        Returns:
            True if no further fit is to be made.
        """
        if abs(psnr - self._target) < abs(self.nearest - self._target):
            self.best, self.nearest = len(self._tried), psnr
        self._tried.append((log2(bits), psnr))
        if self.reached or len(self._tried) >= MOST_FITS:
            return True
        slope = _DB_PER_DOUBLING
        near = sorted(self._tried, key=lambda point: abs(point[1] - self._target))[:2]
        if len(near) == 2 and near[0][0] != near[1][0]:
            slope = (near[0][1] - near[1][1]) / (near[0][0] - near[1][0])
            slope = min(max(slope, _SLOPES[0]), _SLOPES[1])
        leap = (self._target - near[0][1]) / slope
        self.bits = 2.0 ** (near[0][0] + min(max(leap, -_LARGEST_LEAP), _LARGEST_LEAP))
        return False
