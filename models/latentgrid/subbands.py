"""The bands of a multi-scale grid: how many, how large, and what each one descends from. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

Size = tuple[int, int]


class PlaneKind(IntEnum):
    """What a grid holds, in coding order."""

    MOTION = 0
    LUMA = 1
    CHROMA = 2


def scales(size: Size, wanted: int) -> int:
    """How many times a plane can be halved, at most `wanted` times.

    Args:
        size: Height and width.
        wanted: Upper limit.
    """
    count = 0
    height, width = size
    while count < wanted and min(height, width) > 1:
        height, width = (height + 1) // 2, (width + 1) // 2
        count += 1
    return count


def band_sizes(size: Size, count: int) -> list[tuple[Size, ...]]:
    """Sizes of the detail bands, from the finest scale to the coarsest; then that of `coarse`."""
    sizes = []
    height, width = size
    for _ in range(count):
        low = (height + 1) // 2, (width + 1) // 2
        high = height // 2, width // 2
        sizes.append(((low[0], high[1]), (high[0], low[1]), high))
        height, width = low
    return [*sizes, ((height, width),)]


def cells(size: Size, cell: int) -> Size:
    """Height and width of the grid of cells of side `cell` that covers a picture."""
    return -(-size[0] // cell), -(-size[1] // cell)


@dataclass(frozen=True, slots=True)
class Band:
    """One band of a grid.

    Attributes:
        rank: 0 for what is left at the coarsest scale, then 1 for the coarsest details and so on.
        orientation: 0 for rank 0; 1 high in x, 2 high in y, 3 high in both.
        size: Height and width.
        padded_size: Height and width that all bands of its scale fit in.
        parent: Index of the band of the same orientation one scale coarser, None for the first four.
    """

    rank: int
    orientation: int
    size: Size
    padded_size: Size
    parent: int | None


@dataclass(frozen=True)
class GridLayout:
    """The bands of a grid in coding order, from coarse to fine.

    Attributes:
        size: Height and width of the plane.
        scales: How often it is halved.
        channels: Planes that have these bands.
    """

    size: Size
    scales: int
    channels: int

    @cached_property
    def bands(self) -> tuple[Band, ...]:
        """All bands."""
        *details, (coarse,) = band_sizes(self.size, self.scales)
        found = [Band(0, 0, coarse, coarse, None)]
        for rank, sizes in enumerate(reversed(details), 1):
            padded_size = (max(size[0] for size in sizes), max(size[1] for size in sizes))
            found += [
                Band(
                    rank,
                    place + 1,
                    size,
                    padded_size,
                    None if rank == 1 else len(found) + place - 3,
                )
                for place, size in enumerate(sizes)
            ]
        return tuple(found)

    @property
    def values(self) -> int:
        """Values of one frame."""
        return self.channels * self.size[0] * self.size[1]
