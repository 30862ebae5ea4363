"""Configuration of HNeRV (Chen et al., CVPR 2023); the network is in `model.py`. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod, sqrt
from typing import Any, ClassVar

from nvcodec.errors import BitstreamError, ConfigError
from nvcodec.media import ColourMode
from nvcodec.models.base.network_config import NetworkTarget, Recipe, budget_too_small
from nvcodec.models.base.tensor_spec import TensorSpec
from nvcodec.models.stacks.config import (
    LARGEST_WIDTH,
    StackConfig,
    pack_stages,
    stage_layers,
    unpack_stages,
)
from nvcodec.models.stacks.geometry import Geometry, derive
from nvcodec.models.stacks.layer_config import LayerSpec, suited_time_width
from nvcodec.models.tokenizer.layout import token_channels, token_grid_size

_GRID_AREA = 8  # 2x4 embeddings are the best in the paper's table 8
_CHANNELS = 16
_REDUCTION = 1.2
_NARROWEST = 12
# The quadratic leaves out biases and head, so that its solution may slightly exceed the budget.
_SLACK = 1.01
_KERNELS = (1, 3, 5, 5, 5, 5, 5, 5)
# Boosted networks have larger grids of embeddings, as long as these take less than half of all
# values, kernels of at most 3, and a second block in each stage from the third on.
_BOOSTED_AREAS = (144, 72, 36, 18, _GRID_AREA)
_BOOSTED_SHARE = 0.45
_BOOSTED_KERNEL = 3
_BOOSTED_BLOCKS = (1, 1, 2, 2, 2)
# Without embeddings, a large grid costs nothing and keeps the positions of the tokens.
_SHARED_AREA = 72
_TOKEN_CONDITIONED = b"\1"


@dataclass(frozen=True, slots=True, kw_only=True)
class HNeRVConfig(StackConfig):
    """Configuration of HNeRV.

    Attributes:
        channels: Channels of a frame's embedding, 1 to 255; 0 only if tokens take its place.
        token_conditioned: Whether the stack decodes the codes of the segment's tokens, beside the
            embeddings if there are any.
    """

    SUPPORTS_TOKENS: ClassVar[bool] = True
    RECIPE = Recipe(learning_rate=1e-3, batch=2, warmup=0.1, warmup_start=0.1, loss="l2")

    channels: int = _CHANNELS
    token_conditioned: bool = False

    def __post_init__(self) -> None:
        """Check the fields of this family.

        Raises:
            ConfigError: If a field is out of range.
        """
        super(HNeRVConfig, self).__post_init__()
        least = 0 if self.token_conditioned else 1
        if not least <= self.channels <= 255:
            raise ConfigError(f"expected {least}..255 embedding channels, got {self.channels}")

    def blocks(self) -> tuple[tuple[LayerSpec, ...], ...]:
        """Return the 1x1 stem, then one convolution per stage."""
        inputs = self.channels + (token_channels() if self.token_conditioned else 0)
        stem = LayerSpec(inputs, self.widths[0], 1, 1, self.grid)
        return ((stem,), *((layer,) for layer in stage_layers(self)))

    def head(self) -> LayerSpec:
        """Return the 3x3 convolution that outputs samples."""
        return LayerSpec(self.widths[-1], self.colour.channels, 3, 1, self.padded)

    def latents(self) -> tuple[TensorSpec, ...]:
        """Return one embedding per frame, shape (T, channels, h, w), unless it has no channels."""
        if not self.channels:
            return ()
        shape = (self.frames, self.channels, *self.grid)
        return (TensorSpec("embedding", shape, channel_axis=1, latent=True),)

    @property
    def largest_tensor(self) -> int:
        """Number of values of the largest tensor of one frame, the weights of tokens included."""
        largest = super(HNeRVConfig, self).largest_tensor
        if not self.token_conditioned:
            return largest
        height, width = self.size
        pairs = zip(self.grid, token_grid_size(width, height), strict=True)
        return max(largest, *(positions * cells for positions, cells in pairs))

    @property
    def takes_tokens(self) -> bool:
        """Whether the network decodes the codes of the segment's tokens."""
        return self.token_conditioned

    @property
    def position_side(self) -> int:
        """Luma samples along each side of a position of the embedding grid."""
        return prod(self.strides) * (2 if self.colour is ColourMode.YUV420 else 1)

    def pack(self) -> bytes:
        """Serialise the stages, the channels of an embedding, and 1 if conditioned on tokens."""
        return (
            pack_stages(self)
            + bytes((self.channels,))
            + (_TOKEN_CONDITIONED if self.token_conditioned else b"")
        )

    @classmethod
    def _unpack_fields(cls, data: bytes) -> dict[str, Any]:
        """Parse the stages, the channels of an embedding, and whether tokens are decoded."""
        stages, rest = unpack_stages(data, 1, 1 + len(_TOKEN_CONDITIONED))
        token_conditioned = rest[1:] == _TOKEN_CONDITIONED
        if rest[1:] and not token_conditioned:
            raise BitstreamError(
                f"model configuration: expected {_TOKEN_CONDITIONED[0]} at its end"
            )
        return {**stages, "channels": rest[0], "token_conditioned": token_conditioned}

    @classmethod
    def _largest_within(cls, parameters: int, target: NetworkTarget) -> HNeRVConfig:
        """Solve for the width with the authors' formula, `published_width`.

        The formula leaves out some values. For small budgets, and where boosting adds layers, the
        width is therefore lowered until the true number of values fits.
        """
        boosted = _is_boosted(target)
        geometry = _geometry(target, parameters if boosted else None)
        embeddings = target.frames * _channels(target) * prod(geometry.grid)
        solved = max(published_width(parameters - embeddings, geometry.strides), 1)
        solved = min(solved, LARGEST_WIDTH)
        blocks = 1 + sum(_BOOSTED_BLOCKS[: len(geometry.strides)])
        time_width = suited_time_width(parameters, blocks) if boosted else 0
        for width in range(solved, 0, -1):
            config = cls._with_width(width, geometry, target, time_width=time_width)
            if config.parameters <= _SLACK * parameters:
                return config
        raise budget_too_small(parameters, cls._smallest(target))

    @classmethod
    def _smallest(cls, target: NetworkTarget) -> HNeRVConfig:
        """Return the configuration with one channel in every stage."""
        time_width = suited_time_width(0, 0) if _is_boosted(target) else 0
        return cls._with_width(1, _geometry(target, None), target, time_width=time_width)

    @classmethod
    def _with_width(
        cls, width: int, geometry: Geometry, target: NetworkTarget, *, time_width: int
    ) -> HNeRVConfig:
        """Return the configuration whose first stage has a given width.

        Args:
            width: Channels that enter the first stage.
            geometry: Grid and strides.
            target: What the network is to represent.
            time_width: Width of the time vector that conditions every block; 0: not boosted.
        """
        strides = geometry.strides
        kernels, widths = _KERNELS[: len(strides)], published_widths(width, len(strides))
        if time_width:
            # The first block of every stage upsamples.
            blocks = [
                (stage, stride if block == 0 else 1)
                for stage, stride in enumerate(strides)
                for block in range(_BOOSTED_BLOCKS[stage])
            ]
            strides = tuple(stride for _, stride in blocks)
            kernels = tuple(min(_KERNELS[stage], _BOOSTED_KERNEL) for stage, _ in blocks)
            widths = (widths[0], *(widths[stage + 1] for stage, _ in blocks))
        return cls(
            size=target.size,
            frames=target.frames,
            colour=target.colour,
            strides=strides,
            kernels=kernels,
            widths=widths,
            time_width=time_width,
            channels=_channels(target),
            token_conditioned=target.latents != "private",
        )


def _is_boosted(target: NetworkTarget) -> bool:
    # Without embeddings, time tells frames that share a token apart better than their place in the
    # token's step does.
    return target.boosted or target.latents == "shared"


def _channels(target: NetworkTarget) -> int:
    """Return the channels of a frame's embedding: none where tokens take its place."""
    return 0 if target.latents == "shared" else _CHANNELS


def _geometry(target: NetworkTarget, boosted_budget: int | None) -> Geometry:
    """Return grid and strides.

    Args:
        target: What the network is to represent.
        boosted_budget: Stored values of a boosted network, whose embeddings may take a larger
            share; None for a network that is not boosted.
    """
    size = target.native_size
    if target.latents == "shared":
        return derive(size, _SHARED_AREA)
    if boosted_budget is not None:
        for area in _BOOSTED_AREAS:
            geometry = derive(size, area)
            embeddings = target.frames * _CHANNELS * prod(geometry.grid)
            if embeddings <= _BOOSTED_SHARE * boosted_budget:
                return geometry
    return derive(size, _GRID_AREA)


def published_width(parameters: int, strides: tuple[int, ...]) -> int:
    """Solve for the width of the first stage, by the quadratic equation of the authors' code.

    The equation counts the weights of the stem and of each stage. It leaves out biases, the head
    and the lower limit on the widths of stages. Its solutions are 32, 48, 68 and 97 for 0.35, 0.75,
    1.5 and 3 million parameters at 640x1280x132.

    Args:
        parameters: Budget of weights, embeddings excluded.
        strides: Upsampling factor of each stage.

    Returns:
        The width in channels; 0 if the budget is too small.
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
    """Return the first width and the width after each stage: divided by 1.2, but at least 12.

    A network that begins with fewer than 12 channels keeps its width.

    Args:
        first: Input channels of the first stage.
        stages: Number of stages.
    """
    widths = [first]
    for _ in range(stages):
        widths.append(max(round(widths[-1] / _REDUCTION), min(_NARROWEST, first)))
    return tuple(widths)
