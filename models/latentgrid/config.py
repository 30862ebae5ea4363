"""Configuration of `latentgrid`, our own model; see `latentgrid.py`. No torch."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property
from math import prod

from nvcodec.errors import BitstreamError, ConfigError
from nvcodec.media import ColourMode
from nvcodec.models.base.config import ModelConfig
from nvcodec.models.latentgrid.gop import Hierarchy, TemporalLayer
from nvcodec.models.latentgrid.subbands import GridLayout, PlaneKind, cells, scales

# Limits of the bitstream.
LARGEST_CELL_LOG = 6
MOST_SCALES = 10
_TOGETHER = 16  # frames of a level that are coded at once
_FIELDS = struct.Struct("<BBBB")

_LUMA_SCALES = 5
_FIELD_SCALES = 3
_GROUP = 32
# Cells of 8 samples up to common definition, of 16 up to high definition, ...
_SMALL_PICTURE = 720 * 576


@dataclass(frozen=True, kw_only=True)
class LatentGridConfig(ModelConfig):
    """Configuration of `latentgrid`.

    Attributes:
        group: Distance of the anchors in frames, a power of two; see `Hierarchy`.
        cell: Side of a cell of the motion grid, luma samples, a power of two from 2.
        scales: How often luma is halved; chroma reaches the same coarsest scale.
        field_scales: How often a motion field is halved.
    """

    SUPPORTS_PREDICTION = True

    group: int
    cell: int
    scales: int
    field_scales: int

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: If a field is out of range.
        """
        super().__post_init__()
        sides = [1 << exponent for exponent in range(1, LARGEST_CELL_LOG + 1)]
        if self.cell not in sides:
            raise ConfigError(f"expected a cell among {sides}, got {self.cell}")
        if not all(0 <= count <= MOST_SCALES for count in (self.scales, self.field_scales)):
            raise ConfigError(
                f"expected up to {MOST_SCALES} scales, got {self.scales = }, {self.field_scales = }"
            )
        if self.scales != scales(self.size, self.scales):
            raise ConfigError(f"{self.size} cannot be halved {self.scales} times")
        if self.field_scales != scales(self.field_size, self.field_scales):
            raise ConfigError(f"{self.field_size} cannot be halved {self.field_scales} times")
        _ = self.hierarchy  # checks the group

    @classmethod
    def suited(cls, *, size: tuple[int, int], frames: int, colour: ColourMode) -> LatentGridConfig:
        """The configuration for a segment.

        Args:
            size: Height and width of the picture.
            frames: Frames of the segment.
            colour: What the planes are.
        """
        cell = 8
        while prod(size) > _SMALL_PICTURE * (cell // 8) ** 2 and cell < 32:
            cell *= 2
        return cls(
            size=size,
            frames=frames,
            colour=colour,
            group=_GROUP,
            cell=cell,
            scales=scales(size, _LUMA_SCALES),
            field_scales=scales(cells(size, cell), _FIELD_SCALES),
        )

    def pack(self) -> bytes:
        """Four bytes: logarithms of group and cell, scales of luma and of the field."""
        logarithms = self.group.bit_length() - 1, self.cell.bit_length() - 1
        return _FIELDS.pack(*logarithms, self.scales, self.field_scales)

    @classmethod
    def unpack(
        cls, data: bytes, *, size: tuple[int, int], frames: int, colour: ColourMode
    ) -> LatentGridConfig:
        """Inverse of `pack`.

        Raises:
            BitstreamError: On anything that `pack` does not make.
        """
        if len(data) != _FIELDS.size:
            raise BitstreamError(
                f"model configuration: expected {_FIELDS.size} bytes, found {len(data)}"
            )
        group, cell, luma, field = _FIELDS.unpack(data)
        if max(group, cell) > LARGEST_CELL_LOG:
            raise BitstreamError(f"model configuration: group 2^{group} or cell 2^{cell}")
        try:
            return cls(
                size=size,
                frames=frames,
                colour=colour,
                group=1 << group,
                cell=1 << cell,
                scales=luma,
                field_scales=field,
            )
        except ConfigError as error:
            raise BitstreamError(f"model configuration: {error}") from error

    @cached_property
    def hierarchy(self) -> Hierarchy:
        """What every frame is predicted from."""
        return Hierarchy(self.frames, self.group, self.predicted)

    @cached_property
    def levels(self) -> tuple[TemporalLayer, ...]:
        """The frames in coding order, at most 16 together."""
        return tuple(
            TemporalLayer(
                tuple(made.frame for made in some),
                tuple(made.references for made in some),
                depth,
            )
            for made, depth in zip(self.hierarchy.levels, self.hierarchy.depths, strict=True)
            for some in (made[i : i + _TOGETHER] for i in range(0, len(made), _TOGETHER))
        )

    @property
    def field_size(self) -> tuple[int, int]:
        """Height and width of the motion grid, in cells."""
        return cells(self.size, self.cell)

    @property
    def chroma_size(self) -> tuple[int, int]:
        """Height and width of the chroma planes."""
        return self.size if self.colour is ColourMode.RGB else self.native_size

    @property
    def luma_layout(self) -> GridLayout:
        """The bands of luma."""
        return GridLayout(self.size, self.scales, 1)

    @property
    def chroma_layout(self) -> GridLayout:
        """The bands of chroma; in 4:2:0 it begins one scale coarser than luma."""
        fewer = 0 if self.colour is ColourMode.RGB else 1
        return GridLayout(self.chroma_size, max(self.scales - fewer, 0), 2)

    @property
    def field_layout(self) -> GridLayout:
        """The bands of motion fields."""
        return GridLayout(self.field_size, self.field_scales, 5)

    @property
    def layouts(self) -> dict[PlaneKind, GridLayout]:
        """The grids of a frame, in coding order."""
        return {
            PlaneKind.MOTION: self.field_layout,
            PlaneKind.LUMA: self.luma_layout,
            PlaneKind.CHROMA: self.chroma_layout,
        }

    @property
    def parameters(self) -> int:
        """Number of stored values; nearly all of them are zero."""
        return self.frames * sum(layout.values for layout in self.layouts.values())

    @property
    def macs_per_pixel(self) -> float:
        """Multiply-accumulates of one decoded frame between two others, per pixel of the picture.

        Synthesis takes 100 for each sample of a scale (four bands, 5 x 5), prediction 16 (luma) or
        4 (chroma) for each of two references.
        """
        luma, chroma = prod(self.size), 2 * prod(self.chroma_size)
        return ((100 * 4 / 3 + 2 * 16) * luma + (100 * 4 / 3 + 2 * 4) * chroma) / prod(self.size)

    @property
    def largest_tensor(self) -> int:
        """Values of the largest intermediate tensor for one frame."""
        return 5 * prod(self.size)
