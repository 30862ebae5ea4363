"""Configuration of NIRVANA (Maiya et al., CVPR 2023); the network is in `nirvana.py`. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from nvcodec.errors import BitstreamError, ConfigError
from nvcodec.media import ColourMode
from nvcodec.models.base.network_config import Recipe, largest_within
from nvcodec.models.stacks.config import (
    LARGEST_WIDTH,
    StackConfig,
    pack_stages,
    stage_layers,
    unpack_stages,
)
from nvcodec.models.stacks.geometry import grid_for
from nvcodec.models.stacks.layer_config import Layer

_COORDINATES = 2
_DEPTH = 3
# Rounding weights turns the sines of all that follows.
_FINENESS = 2.0
# A patch is what the stages make of one position: 8 samples of the model's grid, 16 of very large
# ones. The first stage sees its own patch only, and makes most of its detail.
_STRIDES = ((4, 2), (8, 2))
_LARGEST_GRID = 1 << 14
_KERNELS = (1, 3)
# The stages are a power of two wide, which suits a processor's registers, and large ones end with half
# of that; the coordinate network, cheap for what it holds, is at least so many times as wide.
_WIDER = 2
_NARROWEST = 4
_MOST_LAYERS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class NirvanaConfig(StackConfig):
    """Configuration of NIRVANA; `widths[0]` is also the width of the coordinate network.

    Attributes:
        depth: Layers of the coordinate network.
    """

    SUPPORTS_PREDICTION: ClassVar[bool] = True
    RAP_INTERVAL: ClassVar[int] = 16
    GOP_LENGTH: ClassVar[int | None] = 4
    # A pass is a single step. So many take no longer than one pass of NeRV.
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
        """Check the fields of this family; see `StackConfig`."""
        super(NirvanaConfig, self).__post_init__()
        if not 1 <= self.depth <= _MOST_LAYERS:
            raise ConfigError(f"expected 1..{_MOST_LAYERS} coordinate layers, got {self.depth}")
        _check_plain(self.boosted)

    def front(self) -> tuple[Layer, ...]:
        """The coordinate network, applied to every position; see `StackConfig`."""
        width, grid = self.widths[0], self.grid
        inputs = (_COORDINATES, *(width,) * (self.depth - 1))
        return tuple(Layer(count, width, 1, 1, grid, fineness=_FINENESS) for count in inputs)

    def blocks(self) -> tuple[tuple[Layer, ...], ...]:
        """One convolution per stage; see `StackConfig`."""
        return tuple((layer,) for layer in stage_layers(self))

    def head(self) -> Layer:
        """All frames at once; see `StackConfig`."""
        return Layer(self.widths[-1], self.frames * self.colour.channels, 3, 1, self.padded)

    @property
    def macs_per_pixel(self) -> float:
        """See `ModelConfig`: one pass makes all frames."""
        return sum(layer.macs for layer in self.layers()) / (self.frames * prod(self.size))

    def pack(self) -> bytes:
        """The stages, then one byte: the depth."""
        return pack_stages(self) + bytes((self.depth,))

    @classmethod
    def unpack(
        cls, data: bytes, *, size: tuple[int, int], frames: int, colour: ColourMode
    ) -> NirvanaConfig:
        """Inverse of `pack`; see `ModelConfig`."""
        fields, rest = unpack_stages(data, 1)
        try:
            return cls(size=size, frames=frames, colour=colour, depth=rest[0], **fields)
        except ConfigError as error:
            raise BitstreamError(f"model configuration: {error}") from error

    @classmethod
    def from_budget(
        cls,
        parameters: int,
        *,
        size: tuple[int, int],
        frames: int,
        colour: ColourMode,
        boosted: bool = False,
    ) -> NirvanaConfig:
        """The widest coordinate network that fits before stages of a width that suits it.

        See `NetworkConfig`.
        """
        _check_plain(boosted)

        def widest(stages: int) -> NirvanaConfig:
            return largest_within(
                lambda width: cls._with_widths(
                    width, stages, size=size, frames=frames, colour=colour
                ),
                parameters,
                LARGEST_WIDTH,
            )

        made, stages = widest(1), 2
        while made.widths[0] >= _WIDER * stages:
            try:
                wider = widest(stages)
            except ConfigError:
                break
            if wider.widths[0] < _WIDER * stages:
                break
            made, stages = wider, 2 * stages
        return made

    @classmethod
    def smallest(
        cls, *, size: tuple[int, int], frames: int, colour: ColourMode, boosted: bool = False
    ) -> NirvanaConfig:
        """One channel everywhere; see `NetworkConfig`."""
        _check_plain(boosted)
        return cls._with_widths(1, 1, size=size, frames=frames, colour=colour)

    @classmethod
    def _with_widths(
        cls, width: int, stages: int, *, size: tuple[int, int], frames: int, colour: ColourMode
    ) -> NirvanaConfig:
        native = colour.native_size(size)
        strides = next(
            (some for some in _STRIDES if prod(grid_for(native, some)) <= _LARGEST_GRID),
            _STRIDES[-1],
        )
        return cls(
            size=size,
            frames=frames,
            colour=colour,
            strides=strides,
            kernels=_KERNELS,
            widths=(width, stages, max(stages // 2, min(stages, _NARROWEST))),
        )


def _check_plain(boosted: bool) -> None:
    if boosted:
        raise ConfigError("nirvana has no blocks that time could condition: not --boost")
