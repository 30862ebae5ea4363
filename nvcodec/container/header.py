"""Header of an `.nvc` file: video, model and token format, as bytes and back.

The layout is specified in `docs/bitstream.md`.
"""

from __future__ import annotations

from dataclasses import dataclass

from nvcodec.container.fields import Cursor, Payload
from nvcodec.container.section_types import HEADER
from nvcodec.container.token_format import TokenFormat, read_token_format, write_token_format
from nvcodec.errors import UnsupportedVersionError
from nvcodec.media import Colour, ColourMode, VideoInfo

MAX_SIDE = 65535
"""Largest width or height of a picture, samples."""
MAX_PIXELS = 2**26
"""Largest width x height of a picture, samples."""
MAX_CONFIGURATION = 2**16 - 1
"""Largest model configuration, bytes."""
MAX_HEADER = 2**17
"""Largest HEAD payload, bytes: it is read before anything else is known about the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The header of a file: all that a decoder needs before the first segment.

    Attributes:
        video: Size, rates and colour. Sides 1 to 65535, at most 2**26 pixels; fractions positive
            with terms below 2**31; colour code points 0 to 255.
        model: Id of the model family, 0 to 255; `nvcodec.models` lists the ids.
        colour_mode: Colour format of the model's output.
        configuration: Configuration from which the model is built, at most 65535 bytes; opaque to
            the container.
        tokens: Format of the tokens in the file; None if there are none.
    """

    video: VideoInfo
    model: int
    colour_mode: ColourMode = ColourMode.RGB
    configuration: bytes = b""
    tokens: TokenFormat | None = None

    @property
    def minor(self) -> int:
        """Lowest minor version of the format that has all features such a file uses."""
        return 1 if self.tokens else 0


def write_header(header: Header) -> bytes:
    """Return the payload of a HEAD section.

    Raises:
        ConfigError: If a field is outside the range `Header` states.
    """
    out, video = Payload(HEADER), header.video
    out.varint("width", video.width, 1, MAX_SIDE)
    out.varint("height", video.height, 1, MAX_SIDE)
    out.check("width x height", video.width * video.height, 1, MAX_PIXELS)
    out.fraction("time base", video.time_base)
    out.fraction("frame rate", video.frame_rate)
    out.fraction("sample aspect ratio", video.sample_aspect_ratio)
    out.u8("colour primaries", video.colour.primaries)
    out.u8("transfer characteristics", video.colour.transfer)
    out.u8("matrix coefficients", video.colour.matrix)
    out.u8("full range", int(video.colour.full_range))
    out.u8("model", header.model)
    out.u8("colour mode", ColourMode(header.colour_mode))
    out.sized("model configuration", header.configuration, MAX_CONFIGURATION)
    if header.tokens:
        write_token_format(out, header.tokens)
    return bytes(out)


def read_header(cursor: Cursor, minor: int) -> Header:
    """Read the payload of a HEAD section; bytes after the last known field are ignored.

    Args:
        cursor: Positioned at the start of the payload.
        minor: Minor version of the file; version 1.0 has no token format.

    Raises:
        BitstreamError: If a field is missing or out of range.
        UnsupportedVersionError: If this release does not know the colour mode.
    """
    width = cursor.varint("width", 1, MAX_SIDE)
    start = cursor.offset
    height = cursor.varint("height", 1, MAX_SIDE)
    if width * height > MAX_PIXELS:
        raise cursor.error(
            f"a picture has at most {MAX_PIXELS} pixels, got {width}x{height}", start
        )
    time_base = cursor.fraction("time base")
    frame_rate = cursor.fraction("frame rate")
    aspect = cursor.fraction("sample aspect ratio")
    colour = Colour(
        primaries=cursor.u8("colour primaries"),
        transfer=cursor.u8("transfer characteristics"),
        matrix=cursor.u8("matrix coefficients"),
        full_range=bool(cursor.u8("full range", 0, 1)),
    )
    model = cursor.u8("model")
    start = cursor.offset
    mode = cursor.u8("colour mode")
    if mode not in ColourMode.__members__.values():
        raise UnsupportedVersionError(
            f"{HEADER} section, byte {start}: colour mode {mode} is unknown, "
            f"expected one of {[int(mode) for mode in ColourMode]}; a newer release may read it"
        )
    return Header(
        video=VideoInfo(
            width=width,
            height=height,
            time_base=time_base,
            frame_rate=frame_rate,
            sample_aspect_ratio=aspect,
            colour=colour,
        ),
        model=model,
        colour_mode=ColourMode(mode),
        configuration=cursor.sized("model configuration", MAX_CONFIGURATION),
        tokens=read_token_format(cursor) if minor else None,
    )
