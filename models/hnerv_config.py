"""Configuration of HNeRV (Chen et al., CVPR 2023); the network is in `hnerv.py`."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod, sqrt

from nvcodec.errors import BitstreamError, ConfigError
from nvcodec.media import ColourMode
from nvcodec.models.geometry import derive
from nvcodec.models.stack_config import (
    LARGEST_WIDTH,
    Layer,
    Recipe,
    StackConfig,
    TensorSpec,
    pack_stages,
    stage_layers,
    unpack_stages,
)

_GRID_AREA = 8  # 2x4 embeddings: the best of the paper's table 8
_CHANNELS = 16
_REDUCTION = 1.2
_NARROWEST = 12
# The quadratic leaves out biases and head, so its answer may be a little above the budget.
_SLACK = 1.01
_KERNELS = (1, 3, 5, 5, 5, 5, 5, 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class HNeRVConfig(StackConfig):
    """Configuration of HNeRV.

    Attributes:
        channels: Channels of a frame's embedding, 1 to 255.
    """

    recipe = Recipe(learning_rate=1e-3, batch=2, warmup=0.1, warmup_start=0.1, loss="l2")

    channels: int = _CHANNELS

    def __post_init__(self) -> None:
        """Check the fields of this family; see `StackConfig`."""
        super(HNeRVConfig, self).__post_init__()
        if not 1 <= self.channels <= 255:
            raise ConfigError(f"expected 1..255 embedding channels, got {self.channels}")

    def layers(self) -> tuple[Layer, ...]:
        """The 1x1 stem, one convolution per stage, the 3x3 head; see `StackConfig`."""
        stem = Layer(self.channels, self.widths[0], 1, 1, self.grid)
        return (stem, *stage_layers(self, head_kernel=3))

    def latents(self) -> tuple[TensorSpec, ...]:
        """One embedding per frame, shape (T, channels, h, w)."""
        shape = (self.frames, self.channels, *self.grid)
        return (TensorSpec("embedding", shape, channel_axis=1, latent=True),)

    def pack(self) -> bytes:
        """The stages, then one byte: the channels of an embedding."""
        return pack_stages(self) + bytes((self.channels,))

    @classmethod
    def unpack(
        cls, data: bytes, *, size: tuple[int, int], frames: int, colour: ColourMode
    ) -> HNeRVConfig:
        """Inverse of `pack`; see `ModelConfig`."""
        fields, rest = unpack_stages(data, 1)
        try:
            return cls(size=size, frames=frames, colour=colour, channels=rest[0], **fields)
        except ConfigError as error:
            raise BitstreamError(f"model configuration: {error}") from error

    @classmethod
    def from_budget(
        cls, parameters: int, *, size: tuple[int, int], frames: int, colour: ColourMode
    ) -> HNeRVConfig:
        """Solve for the width as the authors do; see `StackConfig` and `published_width`.

        Their answer does not count everything: for small budgets the width is then lowered until
        the true number of values fits.
        """
        geometry = derive(colour.native_size(size), _GRID_AREA)
        embeddings = frames * _CHANNELS * prod(geometry.grid)
        solved = max(published_width(parameters - embeddings, geometry.strides), 1)
        solved = min(solved, LARGEST_WIDTH)
        for width in range(solved, 0, -1):
            config = cls._with_width(width, size=size, frames=frames, colour=colour)
            if config.parameters <= _SLACK * parameters:
                return config
        least = cls.smallest(size=size, frames=frames, colour=colour).parameters
        raise ConfigError(
            f"a budget of {parameters} parameters is too small for {frames} frames of "
            f"{size[1]}x{size[0]}: expected at least {least}"
        )

    @classmethod
    def smallest(cls, *, size: tuple[int, int], frames: int, colour: ColourMode) -> HNeRVConfig:
        """One channel in every stage; see `StackConfig`."""
        return cls._with_width(1, size=size, frames=frames, colour=colour)

    @classmethod
    def _with_width(
        cls,
        width: int,
        *,
        size: tuple[int, int],
        frames: int,
        colour: ColourMode,
    ) -> HNeRVConfig:
        strides = derive(colour.native_size(size), _GRID_AREA).strides
        return cls(
            size=size,
            frames=frames,
            colour=colour,
            strides=strides,
            kernels=_KERNELS[: len(strides)],
            widths=published_widths(width, len(strides)),
        )


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
