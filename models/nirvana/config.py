"""Configuration of NIRVANA (Maiya et al., CVPR 2023); the network is in `model.py`. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

from nvcodec.errors import ConfigError
from nvcodec.models.base.network_config import NetworkTarget, Recipe, largest_that_fits
from nvcodec.models.stacks.config import (
    LARGEST_WIDTH,
    StackConfig,
    pack_stages,
    stage_layers,
    unpack_stages,
)
from nvcodec.models.stacks.geometry import grid_for
from nvcodec.models.stacks.layer_config import LayerSpec

_COORDINATES = 2
_DEPTH = 3
# Coordinate layers are quantised more finely, because rounding their weights shifts the phases of
# the sines, on which all later layers depend.
_FINENESS = 2.0
# Strides of the stages. A patch, the output of one position, has a side of 8 samples of the native
# grid, or of 16 samples in very large pictures. The first stage has a kernel of 1 and makes most of
# the detail of a patch.
_STRIDES = ((4, 2), (8, 2))
_LARGEST_GRID = 1 << 14
_KERNELS = (1, 3)
# The width of the first stage is a power of two, which suits the registers of a processor. The last
# stage has half that width, but not fewer channels than this unless the first has fewer.
_NARROWEST = 4
# The coordinate network costs little time for the values it stores. It is at least this many times
# as wide as the first stage.
_COORDINATE_RATIO = 2
_MOST_LAYERS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class NirvanaConfig(StackConfig):
    """Configuration of NIRVANA; `widths[0]` is also the width of the coordinate network.

    Attributes:
        depth: Number of layers of the coordinate network.
    """

    SUPPORTS_PREDICTION: ClassVar[bool] = True
    SUPPORTS_BOOST: ClassVar[bool] = False
    RAP_INTERVAL: ClassVar[int] = 16
    GOP_LENGTH: ClassVar[int | None] = 4
    # A pass is a single optimiser step. Five of them take no longer than one pass of NeRV.
    PASSES: ClassVar[int] = 5
    RECIPE = Recipe(
        learning_rate=3e-2,
        batch=1 << 20,  # all frames
        warmup=0.05,
        warmup_start=0.1,
        loss="l2",
        quantised=2.6,
        resumed=0.1,
    )

    depth: int = _DEPTH

    def __post_init__(self) -> None:
        """Check the fields of this family.

        Raises:
            ConfigError: If a field is out of range or the network is boosted.
        """
        super(NirvanaConfig, self).__post_init__()
        if not 1 <= self.depth <= _MOST_LAYERS:
            raise ConfigError(f"expected 1..{_MOST_LAYERS} coordinate layers, got {self.depth}")
        self._check_boost(self.boosted)

    def front(self) -> tuple[LayerSpec, ...]:
        """Return the layers of the coordinate network, which is applied to every position."""
        width, grid = self.widths[0], self.grid
        inputs = (_COORDINATES, *(width,) * (self.depth - 1))
        return tuple(LayerSpec(count, width, 1, 1, grid, fineness=_FINENESS) for count in inputs)

    def blocks(self) -> tuple[tuple[LayerSpec, ...], ...]:
        """Return one convolution per stage."""
        return tuple((layer,) for layer in stage_layers(self))

    def head(self) -> LayerSpec:
        """Return the convolution that outputs the samples of all frames at once."""
        return LayerSpec(self.widths[-1], self.frames * self.colour.channels, 3, 1, self.padded)

    @property
    def macs_per_pixel(self) -> float:
        """Multiply-accumulate operations per frame and pixel; one pass makes all frames."""
        return sum(layer.macs for layer in self.layers()) / (self.frames * prod(self.size))

    def pack(self) -> bytes:
        """Serialise the stages, then the depth in one byte."""
        return pack_stages(self) + bytes((self.depth,))

    @classmethod
    def _unpack_fields(cls, data: bytes) -> dict[str, Any]:
        """Parse the stages, then the depth."""
        stages, rest = unpack_stages(data, 1)
        return {**stages, "depth": rest[0]}

    @classmethod
    def _largest_within(cls, parameters: int, target: NetworkTarget) -> NirvanaConfig:
        """Return the configuration with the widest stages beside a wide coordinate network.

        The width of the stages doubles as long as a coordinate network of at least
        `_COORDINATE_RATIO` times that width fits the budget.
        """

        def widest(stages: int) -> NirvanaConfig:
            return largest_that_fits(
                lambda width: cls._with_widths(width, stages, target), parameters, LARGEST_WIDTH
            )

        config, stages = widest(1), 2
        while config.widths[0] >= _COORDINATE_RATIO * stages:
            try:
                wider = widest(stages)
            except ConfigError:
                break
            if wider.widths[0] < _COORDINATE_RATIO * stages:
                break
            config, stages = wider, 2 * stages
        return config

    @classmethod
    def _smallest(cls, target: NetworkTarget) -> NirvanaConfig:
        """Return the configuration with one channel everywhere."""
        return cls._with_widths(1, 1, target)

    @classmethod
    def _with_widths(cls, width: int, stages: int, target: NetworkTarget) -> NirvanaConfig:
        """Return the configuration with given widths.

        Args:
            width: Channels of the coordinate network.
            stages: Channels that leave the first stage.
            target: What the network is to represent.
        """
        strides = next(
            (
                strides
                for strides in _STRIDES
                if prod(grid_for(target.native_size, strides)) <= _LARGEST_GRID
            ),
            _STRIDES[-1],
        )
        return cls(
            size=target.size,
            frames=target.frames,
            colour=target.colour,
            strides=strides,
            kernels=_KERNELS,
            widths=(width, stages, max(stages // 2, min(stages, _NARROWEST))),
        )
