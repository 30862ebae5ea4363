"""What a decoder must know of a segment's model, and what the model costs. No torch.

Owns what is asked of every family, whatever it decodes with; what only stacks of convolutions have
is in `stack_config.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from nvcodec.errors import ConfigError
from nvcodec.media import ColourMode


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig(ABC):
    """What every family needs; each adds its own fields.

    Size, frames and colour stand elsewhere in the stream, the fields of a family in what `pack`
    makes of them.

    Attributes:
        size: Height and width of the decoded picture, from the stream header.
        frames: Number of frames the model represents, from the segment.
        colour: What its samples are, from the stream header.
        predicted: Whether the segment is coded on top of the one before it, from the segment.
        PREDICTS: Whether the family has such segments.
        REFRESH: Every so many segments at least, one should not be predicted.
        GROUP: Frames of a segment that suit the family; None if they depend on the size only.
        PASSES: How many times a preset's passes over the frames a fit takes.
        TAKES_TOKENS: Whether the pictures can be made from the segment's tokens.
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
        """Check what any family relies on.

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
        """The family's own fields as they stand in the stream header."""

    @classmethod
    @abstractmethod
    def unpack(
        cls, data: bytes, *, size: tuple[int, int], frames: int, colour: ColourMode
    ) -> ModelConfig:
        """Inverse of `pack`; raises `BitstreamError` on anything else."""

    @property
    @abstractmethod
    def parameters(self) -> int:
        """Number of stored values, latents included."""

    @property
    @abstractmethod
    def macs_per_pixel(self) -> float:
        """Multiply-accumulates of one decoded frame, per pixel of the picture."""

    @property
    @abstractmethod
    def largest_tensor(self) -> int:
        """Values of the largest tensor that decoding needs for one frame.

        The decoder refuses what is too large by this number before it allocates anything.
        """

    @property
    def native_size(self) -> tuple[int, int]:
        """Height and width of the picture on the model's own grid (halved for 4:2:0)."""
        return self.colour.native_size(self.size)
