"""The base class of model configurations: what a decoder needs to know of a model. No torch.

It makes no assumption about how a family decodes. `network_config.py` adds what networks have in
common, `nvcodec.models.stacks.config` what stacks of convolutions have in common.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from nvcodec.errors import ConfigError
from nvcodec.media import ColourMode


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig(ABC):
    """Configuration of a segment's model; each family adds its own fields.

    `pack` serialises the fields of a family. Size, colour and number of frames are stored elsewhere
    in the stream.

    Attributes:
        size: Height and width of the decoded picture, from the stream header.
        frames: Number of frames that the model represents, from the segment.
        colour: Colour layout of the model's samples, from the stream header.
        predicted: Whether the segment is predicted from the one before it, from the segment.
        SUPPORTS_PREDICTION: Whether the family has predicted segments.
        RAP_INTERVAL: Largest distance between random access points, in segments.
        GOP_LENGTH: Number of frames of a segment that suits the family; None if it depends on the
            size of the picture only.
        PASSES: Factor by which the family multiplies a preset's passes over the frames.
        SUPPORTS_TOKENS: Whether the pictures can be made from the segment's tokens.
    """

    SUPPORTS_PREDICTION: ClassVar[bool] = False
    RAP_INTERVAL: ClassVar[int] = 4
    GOP_LENGTH: ClassVar[int | None] = None
    PASSES: ClassVar[int] = 1
    SUPPORTS_TOKENS: ClassVar[bool] = False

    size: tuple[int, int]
    frames: int
    colour: ColourMode
    predicted: bool = False

    def __post_init__(self) -> None:
        """Check the fields that all families have.

        Raises:
            ConfigError: If a field is out of range.
        """
        if min(self.size) < 1 or self.frames < 1:
            raise ConfigError(
                f"expected a picture and frames, got {self.size = }, {self.frames = }"
            )
        if self.predicted and not self.SUPPORTS_PREDICTION:
            raise ConfigError("the model has no segments that are predicted from the one before")

    @abstractmethod
    def pack(self) -> bytes:
        """Return the family's own fields as the stream header stores them."""

    @classmethod
    @abstractmethod
    def unpack(
        cls, data: bytes, *, size: tuple[int, int], frames: int, colour: ColourMode
    ) -> ModelConfig:
        """Parse the bytes that `pack` returned.

        Args:
            data: The family's own fields.
            size: Height and width of the decoded picture.
            frames: Number of frames that the model represents.
            colour: Colour layout of the model's samples.

        Raises:
            BitstreamError: If `pack` of no valid configuration returns these bytes.
        """

    @property
    @abstractmethod
    def parameters(self) -> int:
        """Number of stored values, latents included."""

    @property
    @abstractmethod
    def macs_per_pixel(self) -> float:
        """Multiply-accumulate operations of one decoded frame, per pixel of the picture."""

    @property
    @abstractmethod
    def largest_tensor(self) -> int:
        """Number of values of the largest tensor that decoding one frame needs.

        The decoder refuses a model that is too large before it allocates anything.
        """

    @property
    def native_size(self) -> tuple[int, int]:
        """Height and width of the picture on the model's own grid (halved for 4:2:0)."""
        return self.colour.native_size(self.size)
