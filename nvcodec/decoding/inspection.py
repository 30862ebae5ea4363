"""What an `.nvc` file says about itself, without decoding anything. No torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

from nvcodec.container import Reader
from nvcodec.errors import BitstreamError
from nvcodec.media import ColourMode, Track, VideoInfo
from nvcodec.models import config_class, name_of
from nvcodec.models.base.network_config import NetworkConfig
from nvcodec.models.tokenizer.layout import grid_of, steps_of


@dataclass(frozen=True, slots=True, kw_only=True)
class TokensInfo:
    """The tokens of a stream, as far as header and index tell.

    Attributes:
        tokenizer_id: Of the tokenizer that made them, 32 hexadecimal digits.
        fed: Whether the pictures are made from them.
        steps: Steps in time, over all segments.
        rows: Of tokens, in a step.
        columns: Likewise.
        bytes: That they take of the file, timestamps and framing included.
        bits_per_token: Likewise.
    """

    tokenizer_id: str
    fed: bool
    steps: int
    rows: int
    columns: int
    bytes: int
    bits_per_token: float


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
        tokens: The tokens in it; None if there are none.
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
    tokens: TokensInfo | None
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
            tokens=_tokens(reader),
            tracks=dict(reader.tracks),
            metadata=dict(reader.metadata),
            complete=reader.complete,
            damage=tuple(str(damage) for damage in reader.damage),
        )


def _tokens(reader: Reader) -> TokensInfo | None:
    tokens, video = reader.header.tokens, reader.header.video
    if tokens is None:
        return None
    rows, columns = grid_of(video.width, video.height)
    steps = sum(steps_of(entry.frames) for entry in reader.segments)
    return TokensInfo(
        tokenizer_id=tokens.tokenizer_id.hex(),
        fed=tokens.conditioning,
        steps=steps,
        rows=rows,
        columns=columns,
        bytes=reader.token_bytes,
        bits_per_token=8 * reader.token_bytes / max(steps * rows * columns, 1),
    )
