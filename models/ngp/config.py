"""Configuration of Instant-NGP (Müller et al., SIGGRAPH 2022); the network is in `model.py`.

No torch.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, prod
from typing import Any, ClassVar

from nvcodec.cuda.grid_layout import entries, table_shape
from nvcodec.errors import BitstreamError, ConfigError
from nvcodec.models.base.network_config import (
    NetworkConfig,
    NetworkTarget,
    Recipe,
    largest_that_fits,
)
from nvcodec.models.base.tensor_spec import TensorSpec

# Limits of the bitstream.
MOST_LEVELS = 16
LARGEST_WIDTH = 1024
MOST_LAYERS = 16
_LARGEST_FEATURES = 255

_FEATURES = 4
_DEPTH = 2
# Width of the perceptron, and the largest number of values of a network that has it.
_WIDTHS = ((16, 6_000), (32, 20_000), (64, 1 << 62))
_MOST_ENTRIES = 1 << 23
# Smallest number of entries of a level, as a share of the vertices of one moment, for which the
# level is used.
_MIN_SHARE = 0.75
_FIELDS = struct.Struct("<BBBHB")
_LEVEL = struct.Struct("<HHH")


@dataclass(frozen=True, slots=True, kw_only=True)
class NGPConfig(NetworkConfig):
    """Configuration of Instant-NGP.

    Attributes:
        levels: Vertices along x, y and t of each level of the hash grid, from coarse to fine.
        features: Features of a vertex.
        log2_entries: Binary logarithm of the entries of the largest table; levels with more
            vertices are hashed.
        width: Width of the hidden layers of the perceptron.
        depth: Number of hidden layers.
    """

    SUPPORTS_BOOST: ClassVar[bool] = False
    RECIPE = Recipe(
        learning_rate=2e-2,
        betas=(0.9, 0.99),
        batch=8,
        warmup=0.05,
        warmup_start=0.1,
        loss="l2",
        points=1 << 14,
        quantised=2.0,
    )

    levels: tuple[tuple[int, int, int], ...]
    features: int
    log2_entries: int
    width: int
    depth: int = _DEPTH

    def __post_init__(self) -> None:
        """Check the fields of this family.

        Raises:
            ConfigError: If a field is out of range.
        """
        super(NGPConfig, self).__post_init__()
        if not 1 <= len(self.levels) <= MOST_LEVELS:
            raise ConfigError(f"expected 1..{MOST_LEVELS} levels, got {len(self.levels)}")
        if not 1 <= self.features <= _LARGEST_FEATURES:
            raise ConfigError(f"expected 1..{_LARGEST_FEATURES} features, got {self.features}")
        if not 1 <= self.width <= LARGEST_WIDTH or not 1 <= self.depth <= MOST_LAYERS:
            raise ConfigError(
                f"expected a perceptron of up to {MOST_LAYERS} layers of up to {LARGEST_WIDTH}, "
                f"got {self.depth} of {self.width}"
            )
        for level in self.levels:
            entries(level, self.log2_entries)  # raises `ConfigError` if it is out of range

    def tensors(self) -> tuple[TensorSpec, ...]:
        """Return the tables, from coarse to fine, then the weights of the perceptron."""
        tables = []
        for number, level in enumerate(self.levels):
            shape = table_shape(level, self.log2_entries)
            tables.append(
                TensorSpec(
                    f"level {number}",
                    (*shape, self.features),
                    channel_axis=len(shape),
                    # Neighbouring moments resemble each other, like the latents of frames.
                    latent=len(shape) > 1,
                )
            )
        layers = (
            TensorSpec(f"layer {number}", (outputs, inputs))
            for number, (inputs, outputs) in enumerate(pairwise(self.point_values))
        )
        return (*tables, *layers)

    @property
    def macs_per_pixel(self) -> float:
        """Multiply-accumulates per frame and pixel: 8 vertices of each level, and perceptron."""
        sizes = self.point_values
        point = 8 * sizes[0] + sum(inputs * outputs for inputs, outputs in pairwise(sizes))
        return point * prod(self.native_size) / prod(self.size)

    @property
    def largest_tensor(self) -> int:
        """Number of values of the largest tensor; points are decoded in parts, tables are not."""
        height, width = self.native_size
        return max(
            *(spec.size for spec in self.tensors()),
            height * width * self.colour.channels,
            *(max(width * x, height * y) for x, y, _ in self.levels),
            width * max(self.point_values),
        )

    @property
    def point_values(self) -> tuple[int, ...]:
        """Number of values of a point before the perceptron and after each of its layers."""
        inputs = len(self.levels) * self.features
        return (inputs, *(self.width,) * self.depth, self.colour.channels)

    def pack(self) -> bytes:
        """Serialise number of levels, features, log2 of entries, width, depth and the levels."""
        fields = (len(self.levels), self.features, self.log2_entries, self.width, self.depth)
        return _FIELDS.pack(*fields) + b"".join(_LEVEL.pack(*level) for level in self.levels)

    @classmethod
    def _unpack_fields(cls, data: bytes) -> dict[str, Any]:
        """Parse number of levels, features, log2 of entries, width, depth and the levels."""
        length = _FIELDS.size + _LEVEL.size * (data[0] if data else 0)
        if len(data) != length:
            raise BitstreamError(f"model configuration: expected {length} bytes, got {len(data)}")
        _, features, log2_entries, width, depth = _FIELDS.unpack_from(data)
        return {
            "levels": tuple(_LEVEL.iter_unpack(data[_FIELDS.size :])),
            "features": features,
            "log2_entries": log2_entries,
            "width": width,
            "depth": depth,
        }

    @classmethod
    def _largest_within(cls, parameters: int, target: NetworkTarget) -> NGPConfig:
        """Return the configuration with as many entries at every level as fit the budget."""
        width = next(width for width, most in _WIDTHS if parameters <= most)
        features = _FEATURES
        while True:
            config = largest_that_fits(
                lambda count: cls._with_entries(
                    count,
                    target,
                    width=width,
                    features=features,  # noqa: B023, the function is not called after the loop
                ),
                parameters,
                _MOST_ENTRIES,
            )
            # If a level has a vertex for every sample, only more features can use the rest of the
            # budget.
            if 2 * config.parameters > parameters or 2 * features > _LARGEST_FEATURES:
                return config
            features *= 2

    @classmethod
    def _smallest(cls, target: NetworkTarget) -> NGPConfig:
        """Return the configuration with one small grid."""
        return cls._with_entries(1, target, width=_WIDTHS[0][0], features=1)

    @classmethod
    def _with_entries(
        cls, count: int, target: NetworkTarget, *, width: int, features: int
    ) -> NGPConfig:
        """Return the configuration whose levels have about `count` vertices each.

        Args:
            count: Target for the number of vertices of a level.
            target: What the network is to represent.
            width: Width of the perceptron's hidden layers.
            features: Features of a vertex.
        """
        return cls(
            size=target.size,
            frames=target.frames,
            colour=target.colour,
            levels=_levels(target.native_size, target.frames, count),
            width=width,
            features=features,
            # Large enough that only the last level is hashed.
            log2_entries=max(ceil(count / _MIN_SHARE).bit_length(), 1),
        )


def _levels(size: tuple[int, int], frames: int, count: int) -> tuple[tuple[int, int, int], ...]:
    """Return levels of about `count` vertices each: the finer in space, the coarser in time.

    Args:
        size: Height and width of the native grid.
        frames: Number of frames of the segment.
        count: Target for the number of vertices of a level.

    Returns:
        Vertices along x, y and t of each level, from coarse to fine. The resolution in space
        doubles from level to level. The first level has a vertex in time for every frame. The last
        one has a vertex for every point of the native grid, usually too many for entries of their
        own.
    """
    levels: list[tuple[int, int, int]] = []
    scale = 1
    while True:
        y, x = (max(-(-length // scale), min(2, length)) for length in size)
        share = count / (x * y)
        if share >= _MIN_SHARE or scale == 1:
            levels.append((x, y, min(max(round(share), 1), frames)))
        if round(share) >= frames or scale >= max(size):
            break
        scale *= 2
    return tuple(reversed(levels[-MOST_LEVELS:]))
