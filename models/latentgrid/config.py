"""Configuration of the model `latentgrid`. Needs no torch."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod

from nvcodec.errors import BitstreamError, ConfigError
from nvcodec.host.forking import cached_property
from nvcodec.media import ColourMode
from nvcodec.models.base.config import ModelConfig
from nvcodec.models.latentgrid.gop import Hierarchy, TemporalLayer
from nvcodec.models.latentgrid.subbands import (
    PlaneKind,
    SubbandLayout,
    cell_grid_size,
    count_scales,
)

# Limits that the bitstream sets.
SMALLEST_CELL_LOG, LARGEST_CELL_LOG = 2, 5
LARGEST_GROUP_LOG = 6
MOST_SCALES = 10
_FRAMES_AT_ONCE = 16  # frames of a temporal layer that are coded together
_VERSION = 2  # of the payload; version 1, never released, had fields of motion
_FIELDS = struct.Struct("<BBBB")

_LUMA_SCALES = 5
_GROUP = 32
_CELL_BYTES = 10  # level, mode and two vectors
# Pixels of full HD: up to it cells have 8 samples a side, beyond it 16 and 32.
_SMALL_PICTURE = 1920 * 1088


@dataclass(frozen=True, kw_only=True)
class LatentGridConfig(ModelConfig):
    """Configuration of `latentgrid`.

    Attributes:
        group: Distance between anchors in frames, a power of two up to 64.
        cell: Side of the smallest motion blocks in luma samples, a power of two from 4 to 32.
        scales: Number of wavelet scales of luma; chroma reaches the same coarsest scale.
    """

    SUPPORTS_PREDICTION = True

    group: int
    cell: int
    scales: int

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: If a field is out of range.
        """
        super().__post_init__()
        sides = [1 << exponent for exponent in range(SMALLEST_CELL_LOG, LARGEST_CELL_LOG + 1)]
        if self.cell not in sides:
            raise ConfigError(f"expected a cell among {sides}, got {self.cell}")
        if not 0 <= self.scales <= MOST_SCALES:
            raise ConfigError(f"expected up to {MOST_SCALES} scales, got {self.scales}")
        if self.scales != count_scales(self.size, self.scales):
            raise ConfigError(f"{self.size} cannot be halved {self.scales} times")
        _ = self.hierarchy  # Its constructor checks the anchor distance.

    @classmethod
    def suited(cls, *, size: tuple[int, int], frames: int, colour: ColourMode) -> LatentGridConfig:
        """Return the configuration for a segment.

        Args:
            size: Height and width of the picture.
            frames: Number of frames of the segment.
            colour: Colour mode of the planes.
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
            scales=count_scales(size, _LUMA_SCALES),
        )

    def pack(self) -> bytes:
        """Return four bytes: version, logarithms of anchor distance and cell, scales of luma."""
        logarithms = self.group.bit_length() - 1, self.cell.bit_length() - 1
        return _FIELDS.pack(_VERSION, *logarithms, self.scales)

    @classmethod
    def unpack(
        cls, data: bytes, *, size: tuple[int, int], frames: int, colour: ColourMode
    ) -> LatentGridConfig:
        """Parse what `pack` returned.

        Args:
            data: Four bytes.
            size: Height and width of the picture.
            frames: Number of frames of the segment.
            colour: Colour mode of the planes.

        Raises:
            BitstreamError: If `pack` cannot have returned the bytes.
        """
        if len(data) != _FIELDS.size:
            raise BitstreamError(
                f"model configuration: expected {_FIELDS.size} bytes, found {len(data)}"
            )
        version, group, cell, luma = _FIELDS.unpack(data)
        if version != _VERSION:
            raise BitstreamError(
                f"model configuration: version {version} of latentgrid found, this release reads "
                f"{_VERSION}"
            )
        if group > LARGEST_GROUP_LOG or cell > LARGEST_CELL_LOG:
            raise BitstreamError(f"model configuration: group 2^{group} or cell 2^{cell}")
        try:
            return cls(
                size=size,
                frames=frames,
                colour=colour,
                group=1 << group,
                cell=1 << cell,
                scales=luma,
            )
        except ConfigError as error:
            raise BitstreamError(f"model configuration: {error}") from error

    @cached_property
    def hierarchy(self) -> Hierarchy:
        """The reference frames of every frame."""
        return Hierarchy(self.frames, self.group, self.predicted)

    @cached_property
    def temporal_layers(self) -> tuple[TemporalLayer, ...]:
        """All frames in coding order, at most 16 together."""
        return tuple(
            TemporalLayer(
                tuple(prediction.frame for prediction in part),
                tuple(prediction.references for prediction in part),
                depth,
            )
            for layer, depth in zip(self.hierarchy.layers, self.hierarchy.depths, strict=True)
            for part in (
                layer[start : start + _FRAMES_AT_ONCE]
                for start in range(0, len(layer), _FRAMES_AT_ONCE)
            )
        )

    @property
    def grid_size(self) -> tuple[int, int]:
        """Height and width of the grid of motion cells."""
        return cell_grid_size(self.size, self.cell)

    @property
    def chroma_size(self) -> tuple[int, int]:
        """Height and width of the chroma planes."""
        return self.size if self.colour is ColourMode.RGB else self.native_size

    @property
    def luma_layout(self) -> SubbandLayout:
        """The subbands of luma."""
        return SubbandLayout(self.size, self.scales, 1)

    @property
    def chroma_layout(self) -> SubbandLayout:
        """The subbands of chroma; in 4:2:0 they begin one scale coarser than those of luma."""
        fewer = 0 if self.colour is ColourMode.RGB else 1
        return SubbandLayout(self.chroma_size, max(self.scales - fewer, 0), 2)

    @property
    def layouts(self) -> dict[PlaneKind, SubbandLayout]:
        """The subbands of every kind of plane, in coding order."""
        return {
            PlaneKind.LUMA: self.luma_layout,
            PlaneKind.CHROMA: self.chroma_layout,
        }

    @property
    def parameters(self) -> int:
        """Number of stored values; nearly all of them are zero."""
        return self.frames * sum(layout.values for layout in self.layouts.values())

    @property
    def macs_per_pixel(self) -> float:
        """Multiply-accumulates per pixel to decode one frame that is predicted from two others.

        Synthesis takes 100 for each sample of a wavelet scale (four bands, 5 x 5 taps). Prediction
        takes 8 taps along each axis for each of the two references, about twice because blocks
        overlap.
        """
        samples = prod(self.size) + 2 * prod(self.chroma_size)
        return (100 * 4 / 3 + 2 * 2 * 16) * samples / prod(self.size)

    @property
    def decoded_frame_bytes(self) -> int:
        """Memory of a decoded frame: its samples and its motion, bytes."""
        samples = prod(self.size) + 2 * prod(self.chroma_size)
        return samples + _CELL_BYTES * prod(self.grid_size)

    @property
    def largest_tensor(self) -> int:
        """Number of values of the largest intermediate tensor for one frame."""
        return 5 * prod(self.size)
