"""Searches for the size at which a segment reaches a target PSNR."""

from __future__ import annotations

from math import log2

PSNR_TOLERANCE = 0.15  # dB
"""Largest distance from the target PSNR at which a search ends."""

MOST_FITS = 4
"""Largest number of fits of a search."""

_DB_PER_DOUBLING = 2.0  # assumed gain of twice the size, until two fits tell more
_SLOPES = (0.7, 6.0)  # dB per doubling of the size, lower and upper limit of the measured gain
_LARGEST_CHANGE = 3.0  # octaves of size between two fits


class PsnrSearch:
    """Searches for the size at which a segment reaches a PSNR, fit by fit.

    Args:
        target: Target luma PSNR in dB.
        bits: Size of the first fit in bits.

    Attributes:
        bits: Size of the next fit in bits.
        best: Number of the fit nearest to the target PSNR, from 0.
        nearest: Luma PSNR of that fit in dB.
    """

    def __init__(self, target: float, bits: float) -> None:
        self._target = target
        self.bits = bits
        self.best = 0
        self.nearest = float("-inf")
        self._points: list[tuple[float, float]] = []  # log2 of the size, and PSNR

    @property
    def reached(self) -> bool:
        """Whether the nearest fit is within the tolerance."""
        return abs(self.nearest - self._target) <= PSNR_TOLERANCE

    def update(self, bits: float, psnr: float) -> bool:
        """Record a fit, and set the size of the next one.

        Args:
            bits: Actual size of the fit in bits.
            psnr: Luma PSNR of the fit in dB.

        Returns:
            True if the search is over.
        """
        if abs(psnr - self._target) < abs(self.nearest - self._target):
            self.best, self.nearest = len(self._points), psnr
        self._points.append((log2(bits), psnr))
        if self.reached or len(self._points) >= MOST_FITS:
            return True
        slope = _DB_PER_DOUBLING
        nearest = sorted(self._points, key=lambda point: abs(point[1] - self._target))[:2]
        if len(nearest) == 2 and nearest[0][0] != nearest[1][0]:
            slope = (nearest[0][1] - nearest[1][1]) / (nearest[0][0] - nearest[1][0])
            slope = min(max(slope, _SLOPES[0]), _SLOPES[1])
        change = (self._target - nearest[0][1]) / slope
        self.bits = 2.0 ** (nearest[0][0] + min(max(change, -_LARGEST_CHANGE), _LARGEST_CHANGE))
        return False
