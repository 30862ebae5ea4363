"""Video data independent of any file format: frames, colour, timestamps, tracks and packets.

Video input and output, the container and the codec share these plain data types. The module imports
neither PyAV nor torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from fractions import Fraction

import numpy as np
import numpy.typing as npt

UInt8Array = npt.NDArray[np.uint8]
Int8Array = npt.NDArray[np.int8]
Int16Array = npt.NDArray[np.int16]
Int32Array = npt.NDArray[np.int32]
Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
Int64Array = npt.NDArray[np.int64]
# Pictures in 8-bit 4:2:0: y (B, H, W), u and v (B, ceil(H / 2), ceil(W / 2)).
Planes = tuple[UInt8Array, UInt8Array, UInt8Array]


class ColourMode(IntEnum):
    """Colour format of a model's output; the numbers are bitstream codes and never reused."""

    RGB = 0
    YUV420 = 1

    @property
    def channels(self) -> int:
        """Number of output channels: R, G, B; or four luma phases, U and V at half resolution."""
        return 3 if self is ColourMode.RGB else 6

    def native_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return height and width of the model's output for a picture.

        Args:
            size: Height and width of the picture, samples.
        """
        if self is ColourMode.RGB:
            return size
        return (size[0] + 1) // 2, (size[1] + 1) // 2


@dataclass(frozen=True, slots=True)
class Colour:
    """Colour description of samples, as ITU-T H.273 code points (2 means unspecified).

    Attributes:
        primaries: `ColourPrimaries`, 0 to 255.
        transfer: `TransferCharacteristics`, 0 to 255.
        matrix: `MatrixCoefficients`, 0 to 255.
        full_range: Whether samples use 0 to 255; if not, luma uses 16 to 235 and chroma 16 to 240.
    """

    primaries: int = 2
    transfer: int = 2
    matrix: int = 2
    full_range: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInfo:
    """Properties of a video, after rotation and conversion to 8-bit 4:2:0.

    Attributes:
        width: Picture width in samples, as a viewer sees it (rotation applied).
        height: Picture height in samples.
        time_base: Seconds per timestamp tick.
        frame_rate: Nominal frames per second; the time of a frame is its timestamp.
        sample_aspect_ratio: Width over height of one sample; 1 where the source states none.
        colour: Colour description of the samples.
    """

    width: int
    height: int
    time_base: Fraction
    frame_rate: Fraction
    sample_aspect_ratio: Fraction = Fraction(1)
    colour: Colour = field(default_factory=Colour)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """Consecutive frames in planar 8-bit 4:2:0, with their timestamps.

    The sides of chroma planes are rounded up for an odd picture size.

    Attributes:
        y: Luma, uint8, shape (T, H, W).
        u: Blue difference, uint8, shape (T, ceil(H / 2), ceil(W / 2)).
        v: Red difference, uint8, same shape as `u`.
        pts: Presentation timestamps in ticks, int64, shape (T,), strictly increasing.
        durations: Duration of each frame in ticks, int64, shape (T,), 0 where unknown.
        valid_mask: True for valid pixels, shape (T, H, W); masked pixels hold a filling. None if
            all pixels are valid.
    """

    y: UInt8Array
    u: UInt8Array
    v: UInt8Array
    pts: Int64Array
    durations: Int64Array
    valid_mask: BoolArray | None = None

    def __len__(self) -> int:
        return int(self.y.shape[0])

    @property
    def nbytes(self) -> int:
        """Size of the samples, bytes."""
        return int(self.y.nbytes + self.u.nbytes + self.v.nbytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """Description of an audio or subtitle track, which is stored without transcoding.

    Attributes:
        kind: `"audio"` or `"subtitle"`.
        codec: Codec name as libavcodec spells it, e.g. `"aac"`.
        time_base: Seconds per tick of the packets' timestamps.
        language: ISO 639 code, empty where unknown.
        title: Free text, empty where unknown.
        disposition: libavformat disposition flags (default, forced, ...).
        parameters: Other parameters a player needs to open the codec, in the layout that
            `docs/bitstream.md` specifies.
    """

    kind: str
    codec: str
    time_base: Fraction
    language: str = ""
    title: str = ""
    disposition: int = 0
    parameters: bytes = b""


@dataclass(frozen=True, slots=True)
class Chapter:
    """A chapter of a video.

    Attributes:
        start: Time at which it starts on the clock of the frames, seconds.
        end: Time at which it ends, seconds, not before `start`.
        title: Free text, empty where unknown.
    """

    start: Fraction
    end: Fraction
    title: str = ""


def cut_chapters(
    chapters: Sequence[Chapter], start: Fraction, end: Fraction, origin: Fraction = Fraction(0)
) -> list[Chapter]:
    """Return the chapters of a part of a video; those that reach beyond it are cut.

    Args:
        chapters: Chapters of the whole video.
        start: Time at which the part starts, seconds.
        end: Time at which it ends, seconds.
        origin: Time that becomes zero, seconds.
    """
    return [
        Chapter(max(c.start, start) - origin, min(c.end, end) - origin, c.title)
        for c in chapters
        if c.start < end and c.end > start
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """One compressed packet of a track, copied bit for bit.

    Attributes:
        data: Payload of the packet.
        pts: Presentation timestamp in ticks of the track, None where the source has none.
        dts: Decoding timestamp in ticks of the track, None where the source has none.
        duration: Duration in ticks, 0 where unknown.
        keyframe: Whether decoding can start here.
        side_data: (libavcodec side-data type, payload) pairs, e.g. samples to skip.
    """

    data: bytes
    pts: int | None
    dts: int | None
    duration: int = 0
    keyframe: bool = True
    side_data: tuple[tuple[int, bytes], ...] = ()
