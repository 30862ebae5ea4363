"""Configuration of HNeRV (Chen et al., CVPR 2023); the network is in `hnerv.py`."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod, sqrt
from typing import ClassVar, Literal

from nvcodec.errors import BitstreamError, ConfigError
from nvcodec.media import ColourMode
from nvcodec.models.base.network_config import Recipe, budget_too_small
from nvcodec.models.base.tensor_spec import TensorSpec
from nvcodec.models.stacks.config import (
    LARGEST_WIDTH,
    StackConfig,
    pack_stages,
    stage_layers,
    unpack_stages,
)
from nvcodec.models.stacks.geometry import Geometry, derive
from nvcodec.models.stacks.layer_config import Layer, suited_time_width
from nvcodec.models.tokenizer.layout import token_channels

_GRID_AREA = 8  # 2x4 embeddings: the best of the paper's table 8
_CHANNELS = 16
_REDUCTION = 1.2
_NARROWEST = 12
# The quadratic leaves out biases and head, so its answer may be a little above the budget.
_SLACK = 1.01
_KERNELS = (1, 3, 5, 5, 5, 5, 5, 5)
# Boosted: larger grids of embeddings, as long as these take less than half of all values; kernels
# of 3 at most, and further blocks from the third stage on.
_BOOSTED_AREAS = (144, 72, 36, 18, _GRID_AREA)
_BOOSTED_SHARE = 0.45
_BOOSTED_KERNEL = 3
_BOOSTED_BLOCKS = (1, 1, 2, 2, 2)
# Without embeddings nothing speaks against a large grid, where tokens keep their places.
_SHARED_AREA = 72
_FED = b"\1"

Latents = Literal["private", "shared", "both"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HNeRVConfig(StackConfig):
    """Configuration of HNeRV.

    Attributes:
        channels: Channels of a frame's embedding, 1 to 255; 0 only if tokens take their place.
        token_conditioned: Whether the codes of the segment's tokens are decoded along with the embeddings.
    """

    SUPPORTS_TOKENS: ClassVar[bool] = True
    RECIPE = Recipe(learning_rate=1e-3, batch=2, warmup=0.1, warmup_start=0.1, loss="l2")

    channels: int = _CHANNELS
    token_conditioned: bool = False

    def __post_init__(self) -> None:
        """Check the fields of this family; see `StackConfig`."""
        super(HNeRVConfig, self).__post_init__()
        least = 0 if self.token_conditioned else 1
        if not least <= self.channels <= 255:
            raise ConfigError(f"expected {least}..255 embedding channels, got {self.channels}")

    def blocks(self) -> tuple[tuple[Layer, ...], ...]:
        """The 1x1 stem, then one convolution per stage; see `StackConfig`."""
        inputs = self.channels + (token_channels() if self.token_conditioned else 0)
        stem = Layer(inputs, self.widths[0], 1, 1, self.grid)
        return ((stem,), *((layer,) for layer in stage_layers(self)))

    def head(self) -> Layer:
        """A 3x3 convolution; see `StackConfig`."""
        return Layer(self.widths[-1], self.colour.channels, 3, 1, self.padded)

    def latents(self) -> tuple[TensorSpec, ...]:
        """One embedding per frame, shape (T, channels, h, w), if it has channels."""
        if not self.channels:
            return ()
        shape = (self.frames, self.channels, *self.grid)
        return (TensorSpec("embedding", shape, channel_axis=1, latent=True),)

    @property
    def takes_tokens(self) -> bool:
        """See `NetworkConfig`."""
        return self.token_conditioned

    @property
    def position_side(self) -> int:
        """Luma samples along each side of a position of the grid."""
        return prod(self.strides) * (2 if self.colour is ColourMode.YUV420 else 1)

    def pack(self) -> bytes:
        """The stages, then the channels of an embedding, and 1 if the network is fed by tokens."""
        return (
            pack_stages(self) + bytes((self.channels,)) + (_FED if self.token_conditioned else b"")
        )

    @classmethod
    def unpack(
        cls, data: bytes, *, size: tuple[int, int], frames: int, colour: ColourMode
    ) -> HNeRVConfig:
        """Inverse of `pack`; see `ModelConfig`."""
        fields, rest = unpack_stages(data, 1, 1 + len(_FED))
        fed = rest[1:] == _FED
        if rest[1:] and not fed:
            raise BitstreamError(f"model configuration: expected {_FED[0]} at its end")
        try:
            return cls(
                size=size,
                frames=frames,
                colour=colour,
                channels=rest[0],
                token_conditioned=fed,
                **fields,
            )
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
        latents: Latents = "private",
    ) -> HNeRVConfig:
        """Solve for the width as the authors do; see `NetworkConfig` and `published_width`.

        Their answer does not count everything: for small budgets, and where more is added to the
        stack, the width is then lowered until the true number of values fits.

        Args:
            parameters: The budget.
            size: Height and width.
            frames: Of the segment.
            colour: The samples the model makes.
            boosted: Whether its blocks are conditioned on time. Without embeddings they always
                are: of frames that share a token nothing else tells them apart as well.
            latents: Embeddings, tokens, or both.
        """
        boosted = boosted or latents == "shared"
        channels = 0 if latents == "shared" else _CHANNELS
        native = colour.native_size(size)
        if channels:
            geometry = _geometry(native, frames, parameters if boosted else None)
        else:
            geometry = derive(native, _SHARED_AREA)
        embeddings = frames * channels * prod(geometry.grid)
        solved = max(published_width(parameters - embeddings, geometry.strides), 1)
        solved = min(solved, LARGEST_WIDTH)
        blocks = 1 + sum(_BOOSTED_BLOCKS[: len(geometry.strides)])
        time_width = suited_time_width(parameters, blocks) if boosted else 0
        for width in range(solved, 0, -1):
            config = cls._with_width(
                width,
                geometry,
                size=size,
                frames=frames,
                colour=colour,
                time_width=time_width,
                channels=channels,
                token_conditioned=latents != "private",
            )
            if config.parameters <= _SLACK * parameters:
                return config
        least = cls.smallest(
            size=size, frames=frames, colour=colour, boosted=boosted, latents=latents
        )
        raise budget_too_small(parameters, least)

    @classmethod
    def smallest(
        cls,
        *,
        size: tuple[int, int],
        frames: int,
        colour: ColourMode,
        boosted: bool = False,
        latents: Latents = "private",
    ) -> HNeRVConfig:
        """One channel in every stage; see `NetworkConfig`, and `from_budget` for `latents`."""
        boosted = boosted or latents == "shared"
        native = colour.native_size(size)
        return cls._with_width(
            1,
            _geometry(native, frames, None)
            if latents != "shared"
            else derive(native, _SHARED_AREA),
            size=size,
            frames=frames,
            colour=colour,
            time_width=suited_time_width(0, 0) if boosted else 0,
            channels=0 if latents == "shared" else _CHANNELS,
            token_conditioned=latents != "private",
        )

    @classmethod
    def _with_width(
        cls,
        width: int,
        geometry: Geometry,
        *,
        size: tuple[int, int],
        frames: int,
        colour: ColourMode,
        time_width: int,
        channels: int = _CHANNELS,
        token_conditioned: bool = False,
    ) -> HNeRVConfig:
        strides = geometry.strides
        kernels, widths = _KERNELS[: len(strides)], published_widths(width, len(strides))
        if time_width:
            # Of every stage's blocks the first upsamples.
            blocks = [
                (stage, stride if block == 0 else 1)
                for stage, stride in enumerate(strides)
                for block in range(_BOOSTED_BLOCKS[stage])
            ]
            strides = tuple(stride for _, stride in blocks)
            kernels = tuple(min(_KERNELS[stage], _BOOSTED_KERNEL) for stage, _ in blocks)
            widths = (widths[0], *(widths[stage + 1] for stage, _ in blocks))
        return cls(
            size=size,
            frames=frames,
            colour=colour,
            strides=strides,
            kernels=kernels,
            widths=widths,
            time_width=time_width,
            channels=channels,
            token_conditioned=token_conditioned,
        )


def _geometry(size: tuple[int, int], frames: int, budget: int | None) -> Geometry:
    """Grid and strides; with a budget, those of a boosted network."""
    if budget is not None:
        for area in _BOOSTED_AREAS:
            geometry = derive(size, area)
            if frames * _CHANNELS * prod(geometry.grid) <= _BOOSTED_SHARE * budget:
                return geometry
    return derive(size, _GRID_AREA)


def published_width(parameters: int, strides: tuple[int, ...]) -> int:
    """First-stage width for a budget, by the quadratic of the authors' code.

    It counts the stem and each stage's kernel, and neither biases, head nor the floor on narrow
    stages; hence 32, 48, 68 and 97 for 0.35, 0.75, 1.5 and 3 million at 640x1280x132.

    Args:
        parameters: Wanted number of weights, embeddings excluded.
        strides: Upsampling factor of each stage.

    Returns:
        The width; 0 where the budget is too small.
    """
    if parameters <= 0:
        return 0
    square = sum(
        (stride * kernel) ** 2 / _REDUCTION ** (2 * stage + 1)
        for stage, (stride, kernel) in enumerate(zip(strides, _KERNELS, strict=False))
    )
    root = sqrt(_CHANNELS**2 + 4 * square * parameters)
    return int((root - _CHANNELS) / (2 * square))


def published_widths(first: int, stages: int) -> tuple[int, ...]:
    """The first width and the width after each stage: divided by 1.2, at least 12.

    A network that begins below 12 channels keeps its width.
    """
    widths = [first]
    for _ in range(stages):
        widths.append(max(round(widths[-1] / _REDUCTION), min(_NARROWEST, first)))
    return tuple(widths)
