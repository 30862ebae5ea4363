"""Geometry of wavelet subbands: number, sizes, coding order and parents. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from nvcodec.host.forking import cached_property

Size = tuple[int, int]


class PlaneKind(IntEnum):
    """The kinds of planes that have latents of their own, in coding order."""

    LUMA = 0
    CHROMA = 1


def count_scales(size: Size, limit: int) -> int:
    """Return how many times a plane can be halved, up to a limit.

    Args:
        size: Height and width of the plane.
        limit: Largest number to return.
    """
    count = 0
    height, width = size
    while count < limit and min(height, width) > 1:
        height, width = (height + 1) // 2, (width + 1) // 2
        count += 1
    return count


def band_sizes(size: Size, count: int) -> list[tuple[Size, ...]]:
    """Return the sizes of all bands, scale by scale from the finest to the coarsest.

    Args:
        size: Height and width of the plane.
        count: Number of wavelet scales.

    Returns:
        The sizes of the three detail bands of each scale, then that of the low band alone.
    """
    sizes = []
    height, width = size
    for _ in range(count):
        low = (height + 1) // 2, (width + 1) // 2
        high = height // 2, width // 2
        sizes.append(((low[0], high[1]), (high[0], low[1]), high))
        height, width = low
    return [*sizes, ((height, width),)]


def cell_grid_size(size: Size, cell: int) -> Size:
    """Return height and width, in cells, of the grid of motion cells that covers a picture.

    Args:
        size: Height and width of the picture, samples.
        cell: Side of a cell, samples.
    """
    return -(-size[0] // cell), -(-size[1] // cell)


@dataclass(frozen=True, slots=True)
class Band:
    """One subband of a plane.

    Attributes:
        rank: 0 for the low band of the coarsest scale, 1 for the coarsest details, and so on.
        orientation: 0 for rank 0; 1 high-pass in x, 2 high-pass in y, 3 high-pass in both.
        size: Height and width.
        padded_size: Height and width that all bands of its scale fit in.
        parent: Index of the band of the same orientation one scale coarser; None for the first four
            bands.
    """

    rank: int
    orientation: int
    size: Size
    padded_size: Size
    parent: int | None


@dataclass(frozen=True)
class SubbandLayout:
    """The subbands of a plane in coding order, from coarse to fine.

    Attributes:
        size: Height and width of the plane.
        scales: Number of wavelet scales: how often the plane is halved.
        channels: Number of planes with these bands.
    """

    size: Size
    scales: int
    channels: int

    @cached_property
    def bands(self) -> tuple[Band, ...]:
        """All bands in coding order."""
        *details, (coarse,) = band_sizes(self.size, self.scales)
        bands = [Band(0, 0, coarse, coarse, None)]
        for rank, sizes in enumerate(reversed(details), 1):
            padded_size = (max(size[0] for size in sizes), max(size[1] for size in sizes))
            bands += [
                Band(
                    rank,
                    index + 1,
                    size,
                    padded_size,
                    None if rank == 1 else len(bands) + index - 3,
                )
                for index, size in enumerate(sizes)
            ]
        return tuple(bands)

    @property
    def values(self) -> int:
        """Number of coefficients of one frame."""
        return self.channels * self.size[0] * self.size[1]
