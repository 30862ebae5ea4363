"""The choice of an embedding grid and of upsampling strides for a picture size.

The papers choose strides by hand for a few sizes (5, 4, 4, 2, 2 for 640x1280 and so on). The search
here reproduces those choices and extends them to every other size.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations_with_replacement
from math import log2, prod

_LARGEST_STRIDE = 5
_MOST_STAGES = 5
# Cost of one octave of deviation from the preferred grid area, as a share of padded samples.
_AREA_WEIGHT = 0.05
# Octaves beyond which a grid is so large that a small picture would consist of embeddings, and the
# additional cost of each further octave.
_EXCESS, _EXCESS_WEIGHT = 3.0, 0.2


@dataclass(frozen=True, slots=True)
class Geometry:
    """Embedding grid and upsampling strides of a stack.

    Attributes:
        grid: Height and width of the embedding grid.
        strides: Upsampling factor of each stage, largest first.
    """

    grid: tuple[int, int]
    strides: tuple[int, ...]

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width of the stages' output; at least the size of the picture."""
        scale = prod(self.strides)
        return self.grid[0] * scale, self.grid[1] * scale


def grid_for(size: tuple[int, int], strides: tuple[int, ...]) -> tuple[int, int]:
    """Return the smallest grid whose upsampled picture covers `size`.

    Args:
        size: Height and width of the picture in samples.
        strides: Upsampling factor of each stage.

    Returns:
        Height and width of the grid.
    """
    scale = prod(strides)
    return -(-size[0] // scale), -(-size[1] // scale)


@lru_cache(maxsize=64)
def derive(size: tuple[int, int], area: int) -> Geometry:
    """Choose grid and strides for a picture: near the preferred grid area, with little padding.

    Args:
        size: Height and width of the picture in samples, each at least 1.
        area: Preferred number of grid positions (HNeRV: 8; NeRV: 144).

    Returns:
        The geometry of lowest cost; more stages, then larger first strides win ties. It is the
        published one for 480x960, 640x1280, 720x1280, 960x1920 and 1080x1920.
    """
    best: tuple[tuple[float, int, list[int]], Geometry] | None = None
    for stages in range(1, _MOST_STAGES + 1):
        for strides in combinations_with_replacement(range(_LARGEST_STRIDE, 1, -1), stages):
            geometry = Geometry(grid_for(size, strides), strides)
            height, width = geometry.padded
            padding = height * width / (size[0] * size[1])
            octaves = log2(prod(geometry.grid) / area)
            cost = padding * (1 + _AREA_WEIGHT * abs(octaves))
            cost += _EXCESS_WEIGHT * max(octaves - _EXCESS, 0)
            key = (round(cost, 6), -stages, [-stride for stride in strides])
            if best is None or key < best[0]:
                best = key, geometry
    assert best is not None  # the loops above always run
    return best[1]
