"""What a video is, apart from any file format: pixels, colour, time, and the tracks beside it.

Plain data shared by video input and output, the container and the codec. No PyAV, no torch.
"""

from __future__ import annotations

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
    """What the samples of a model's output are. Part of the bitstream; never reuse a number."""

    RGB = 0
    YUV420 = 1

    @property
    def channels(self) -> int:
        """Output channels: R, G, B; or four luma phases, U and V at half resolution."""
        return 3 if self is ColourMode.RGB else 6

    def native_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the model's own grid for a picture of `size`."""
        if self is ColourMode.RGB:
            return size
        return (size[0] + 1) // 2, (size[1] + 1) // 2


@dataclass(frozen=True, slots=True)
class Colour:
    """How sample values map to light, as ITU-T H.273 code points (2 means unspecified).

    Attributes:
        primaries: `ColourPrimaries`, 0 to 255.
        transfer: `TransferCharacteristics`, 0 to 255.
        matrix: `MatrixCoefficients`, 0 to 255.
        full_range: Samples use 0 to 255; otherwise luma 16 to 235, chroma 16 to 240.
    """

    primaries: int = 2
    transfer: int = 2
    matrix: int = 2
    full_range: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInfo:
    """What a stream says about its pictures, after rotation and conversion to 8-bit 4:2:0.

    Attributes:
        width: Picture width in samples, as a viewer sees it (rotation applied).
        height: Picture height in samples.
        time_base: Seconds per timestamp tick.
        frame_rate: Nominal frames per second; timestamps, not this, say when a frame is shown.
        sample_aspect_ratio: Width over height of one sample; 1 where the source does not say.
        colour: How samples map to light.
    """

    width: int
    height: int
    time_base: Fraction
    frame_rate: Fraction
    sample_aspect_ratio: Fraction = Fraction(1)
    colour: Colour = field(default_factory=Colour)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """Consecutive pictures in planar 8-bit 4:2:0, with their times.

    Chroma planes of an odd-sized picture are rounded up.

    Attributes:
        y: Luma, uint8, shape (T, H, W).
        u: Blue difference, uint8, shape (T, ceil(H / 2), ceil(W / 2)).
        v: Red difference, uint8, same shape as `u`.
        pts: Presentation timestamps in ticks, int64, shape (T,), strictly increasing.
        durations: How long each picture is shown, in ticks, int64, shape (T,), 0 where unknown.
        valid_mask: Which pixels count, shape (T, H, W); what is in the others is made up. None if all do.
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
        """Bytes of sample data."""
        return int(self.y.nbytes + self.u.nbytes + self.v.nbytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """An audio or subtitle track that travels with the video untouched.

    Attributes:
        kind: `"audio"` or `"subtitle"`.
        codec: Codec name as libavcodec spells it, e.g. `"aac"`.
        time_base: Seconds per tick of the packets' timestamps.
        language: ISO 639 code, empty where unknown.
        title: Free text, empty where unknown.
        disposition: libavformat disposition flags (default, forced, ...).
        parameters: Everything else a player needs to open the codec; see `docs/bitstream.md`.
    """

    kind: str
    codec: str
    time_base: Fraction
    language: str = ""
    title: str = ""
    disposition: int = 0
    parameters: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """One compressed packet of a track, copied bit for bit.

    Attributes:
        data: The payload.
        pts: Presentation time in ticks of the track, None where the source has none.
        dts: Decoding time in ticks, None where the source has none.
        duration: Ticks, 0 where unknown.
        keyframe: Decoding can start here.
        side_data: (libavcodec side-data type, payload) pairs, e.g. samples to skip.
    """

    data: bytes
    pts: int | None
    dts: int | None
    duration: int = 0
    keyframe: bool = True
    side_data: tuple[tuple[int, bytes], ...] = ()
