"""Configuration of NeRV (Chen et al., NeurIPS 2021); the network is in `model.py`. No torch."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from math import prod
from typing import Any, ClassVar

from nvcodec.errors import ConfigError
from nvcodec.media import ColourMode
from nvcodec.models.base.network_config import NetworkTarget, Recipe, largest_that_fits
from nvcodec.models.stacks.config import StackConfig, pack_stages, stage_layers, unpack_stages
from nvcodec.models.stacks.geometry import derive
from nvcodec.models.stacks.layer_config import LayerSpec, suited_time_width

_GRID_AREA = 144  # 9x16
_BASE = 125  # hundredths
_LEVELS = 40
_HIDDEN = 512
_SMALLEST_PUBLISHED = 26  # grid channels of NeRV-S
_MOST_HIDDEN = 65535
_FIELDS = struct.Struct("<HBB")


@dataclass(frozen=True, slots=True, kw_only=True)
class NeRVConfig(StackConfig):
    """Configuration of NeRV; `widths[0]` is the number of channels on the grid.

    Attributes:
        hidden: Width of the hidden linear layer.
        levels: Number of frequencies of the positional encoding; each has a sine and a cosine.
        base: Ratio of neighbouring frequencies, in hundredths (125 = 1.25).
        NARROWEST: Published lower limit on the channels of a stage.
    """

    NARROWEST: ClassVar[int] = 96
    RECIPE = Recipe(
        learning_rate=5e-4,
        betas=(0.5, 0.999),
        batch=1,
        warmup=0.2,
        warmup_start=0.0,
        loss="fusion6",
    )

    hidden: int = _HIDDEN
    levels: int = _LEVELS
    base: int = _BASE

    def __post_init__(self) -> None:
        """Check the fields of this family.

        Raises:
            ConfigError: If a field is out of range.
        """
        super(NeRVConfig, self).__post_init__()
        if not (
            1 <= self.hidden <= _MOST_HIDDEN and 1 <= self.levels <= 255 and 1 <= self.base <= 255
        ):
            raise ConfigError(
                f"got {self.hidden = }, {self.levels = }, {self.base = } out of range"
            )

    def front(self) -> tuple[LayerSpec, ...]:
        """Return the two linear layers from the positional encoding to the grid."""
        hidden = LayerSpec(2 * self.levels, self.hidden, 0, 1, (1, 1))
        spread = LayerSpec(self.hidden, self.widths[0] * prod(self.grid), 0, 1, (1, 1))
        return hidden, spread

    def blocks(self) -> tuple[tuple[LayerSpec, ...], ...]:
        """Return one 3x3 convolution per stage."""
        return tuple((layer,) for layer in stage_layers(self))

    def head(self) -> LayerSpec:
        """Return the 1x1 convolution that outputs samples."""
        return LayerSpec(self.widths[-1], self.colour.channels, 1, 1, self.padded)

    def pack(self) -> bytes:
        """Serialise the stages, then hidden width, levels and base."""
        return pack_stages(self) + _FIELDS.pack(self.hidden, self.levels, self.base)

    @classmethod
    def _unpack_fields(cls, data: bytes) -> dict[str, Any]:
        """Parse the stages, then hidden width, levels and base."""
        stages, rest = unpack_stages(data, _FIELDS.size)
        hidden, levels, base = _FIELDS.unpack(rest)
        return {**stages, "hidden": hidden, "levels": levels, "base": base}

    @classmethod
    def published(
        cls,
        channels: int,
        *,
        size: tuple[int, int],
        frames: int,
        colour: ColourMode = ColourMode.RGB,
        hidden: int = _HIDDEN,
        narrowest: int | None = None,
        time_width: int = 0,
    ) -> NeRVConfig:
        """Return the configuration of the paper; NeRV-S, M and L have 26, 58 and 112 channels.

        The first stage keeps the width, and each later one halves it, but not below `narrowest`.

        Args:
            channels: Number of channels on the grid.
            size: Height and width of the decoded picture.
            frames: Number of frames of the segment.
            colour: Colour layout of the model's samples.
            hidden: Width of the hidden linear layer.
            narrowest: Lower limit on the channels of a stage; None for the published one.
            time_width: Width of the time vector that conditions every block; 0: not boosted.
        """
        least = cls.NARROWEST if narrowest is None else narrowest
        geometry = derive(colour.native_size(size), _GRID_AREA)
        widths = [channels, channels]
        for _ in geometry.strides[1:]:
            widths.append(max(widths[-1] // 2, least))
        return cls(
            size=size,
            frames=frames,
            colour=colour,
            strides=geometry.strides,
            kernels=(3,) * len(geometry.strides),
            widths=tuple(widths),
            hidden=hidden,
            time_width=time_width,
        )

    @classmethod
    def _largest_within(cls, parameters: int, target: NetworkTarget) -> NeRVConfig:
        """Scale NeRV-S down in every width, or up in grid channels like the paper's M and L.

        The rest of the budget is spent on single channels and on hidden units.
        """
        time_width = 0
        if target.boosted:
            stages = derive(target.native_size, _GRID_AREA).strides
            time_width = suited_time_width(parameters, len(stages))

        def scaled(sixteenths: int) -> NeRVConfig:
            return cls._scaled(sixteenths, target, time_width)

        return largest_that_fits(scaled, parameters, 16 * 2048)._filled(parameters)

    @classmethod
    def _smallest(cls, target: NetworkTarget) -> NeRVConfig:
        """Return the configuration with one channel on the grid."""
        return cls._scaled(1, target, suited_time_width(0, 0) if target.boosted else 0)

    def _filled(self, parameters: int) -> NeRVConfig:
        """Spend the rest of a budget on one more channel per stage, last first, and hidden units.

        The number of values is then within about 1 % of the budget, so that networks of different
        families can be compared at equal budgets.

        Args:
            parameters: Budget of stored values.
        """
        config = self
        for stage in reversed(range(len(config.widths))):
            widths = list(config.widths)
            widths[stage] += 1
            wider = replace(config, widths=tuple(widths))
            if wider.parameters <= parameters:
                config = wider
        per_unit = replace(config, hidden=config.hidden + 1).parameters - config.parameters
        hidden = config.hidden + (parameters - config.parameters) // per_unit
        return replace(config, hidden=min(hidden, _MOST_HIDDEN))

    @classmethod
    def _scaled(cls, sixteenths: int, target: NetworkTarget, time_width: int) -> NeRVConfig:
        """Return NeRV-S at a multiple of its width.

        Args:
            sixteenths: Number of grid channels, in sixteenths of a channel.
            target: What the network is to represent.
            time_width: Width of the time vector that conditions every block; 0: not boosted.
        """
        shrink = min(1.0, sixteenths / (16 * _SMALLEST_PUBLISHED))
        return cls.published(
            max(1, sixteenths // 16),
            size=target.size,
            frames=target.frames,
            colour=target.colour,
            hidden=max(8, round(_HIDDEN * shrink)),
            narrowest=max(2, round(cls.NARROWEST * shrink)),
            time_width=time_width,
        )
