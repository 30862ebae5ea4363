"""What an `.nvc` file says about itself, without decoding anything. No torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

from nvcodec.bitstream import Reader
from nvcodec.errors import BitstreamError
from nvcodec.media import ColourMode, Track, VideoInfo
from nvcodec.models import config_class, name_of
from nvcodec.models.network_config import NetworkConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamInfo:
    """A stream's header, tracks and segments.

    Attributes:
        version: Major and minor version of the bitstream.
        bytes: Size of the file.
        video_bytes: Without audio and subtitle tracks.
        bpp: Bits of `video_bytes` per pixel.
        video: Size, rates and colour.
        colour_mode: The samples the networks make.
        frames: Number of frames.
        duration: Seconds.
        segments: First frame and number of frames of each.
        predicted: Numbers of those segments that need the one before them.
        model: Name of the model family.
        boosted: Whether time conditions every block of the first segment's network.
        parameters: Stored values of the first segment's network, by the stream header.
        macs_per_pixel: Multiply-accumulates of a decoded frame per pixel.
        tracks: Audio and subtitle tracks, by number.
        metadata: Free text.
        complete: No damage is known and the file has its end.
        damage: What is missing or damaged, in plain words.
    """

    version: tuple[int, int]
    bytes: int
    video_bytes: int
    bpp: float
    video: VideoInfo
    colour_mode: ColourMode
    frames: int
    duration: Fraction
    segments: tuple[tuple[int, int], ...]
    predicted: tuple[int, ...]
    model: str
    boosted: bool
    parameters: int
    macs_per_pixel: float
    tracks: dict[int, Track]
    metadata: dict[str, str]
    complete: bool
    damage: tuple[str, ...]


def inspect(source: str | os.PathLike[str] | bytes | BinaryIO) -> StreamInfo:
    """Read what a stream says about itself.

    Args:
        source: Path, bytes, or binary file.

    Raises:
        BitstreamError: If it is not an `.nvc` stream, or its header is damaged.
        UnsupportedVersionError: If its version or model is unknown to this release.
    """
    with Reader(source) as reader:
        header = reader.header
        model = name_of(header.model)
        frames = reader.frame_count
        video = header.video
        config = config_class(model).unpack(
            header.configuration,
            size=(video.height, video.width),
            frames=reader.segments[0].frames if reader.segments else 1,
            colour=header.colour_mode,
        )
        if not reader.segments and reader.complete:
            raise BitstreamError("the stream is complete but has no segment")
        return StreamInfo(
            version=reader.version,
            bytes=reader.file_bytes,
            video_bytes=reader.video_bytes,
            bpp=8 * reader.video_bytes / max(frames * video.width * video.height, 1),
            video=video,
            colour_mode=header.colour_mode,
            frames=frames,
            duration=reader.duration,
            segments=tuple((entry.first_frame, entry.frames) for entry in reader.segments),
            predicted=tuple(entry.index for entry in reader.segments if entry.predicted),
            model=model,
            boosted=isinstance(config, NetworkConfig) and config.boosted,
            parameters=config.parameters,
            macs_per_pixel=config.macs_per_pixel,
            tracks=dict(reader.tracks),
            metadata=dict(reader.metadata),
            complete=reader.complete,
            damage=tuple(str(damage) for damage in reader.damage),
        )
