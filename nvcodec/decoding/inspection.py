"""Inspection of an `.nvc` file without decoding it. This module does not import torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

import numpy as np

from nvcodec.container import Reader, SegmentList
from nvcodec.errors import BitstreamError
from nvcodec.media import Chapter, ColourMode, Track, VideoInfo
from nvcodec.models import config_class, name_of
from nvcodec.models.base.network_config import NetworkConfig
from nvcodec.models.tokenizer.layout import token_grid_size, token_step_count


@dataclass(frozen=True, slots=True, kw_only=True)
class TokensInfo:
    """Tokens of a stream, by its header and index.

    Attributes:
        tokenizer_id: Identity of the tokenizer that made them, 32 hexadecimal digits.
        fed: Whether the model is conditioned on them.
        steps: Number of time steps, over all segments.
        rows: Rows of tokens in a time step.
        columns: Columns of tokens in a time step.
        bytes: Bytes that they take in the file, timestamps and framing included.
        bits_per_token: Bits of `bytes` per token.
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
    """Header, tracks and segments of a stream.

    Attributes:
        version: Major and minor version of the bitstream.
        bytes: Size of the file, bytes.
        video_bytes: Size without audio and subtitle tracks, bytes.
        bpp: Bits of `video_bytes` per pixel.
        video: Size, rates and colour of the pictures.
        colour_mode: Colour mode of the model.
        frames: Number of frames.
        duration: Duration, seconds.
        index: The segments as the index lists them.
        model: Name of the model family.
        boosted: Whether every block of the first segment's network is conditioned on time.
        parameters: Number of stored values of the first segment's model, by the stream header.
        macs_per_pixel: Multiply-accumulate operations per pixel of a decoded frame.
        tokens: Tokens in the stream; None if there are none.
        tracks: Audio and subtitle tracks, by number.
        metadata: Free text by key, such as `title`.
        chapters: Chapters on the clock of the frames.
        complete: Whether the file has its end and no known damage.
        damage: What is missing or damaged, one sentence each.
    """

    version: tuple[int, int]
    bytes: int
    video_bytes: int
    bpp: float
    video: VideoInfo
    colour_mode: ColourMode
    frames: int
    duration: Fraction
    index: SegmentList
    model: str
    boosted: bool
    parameters: int
    macs_per_pixel: float
    tokens: TokensInfo | None
    tracks: dict[int, Track]
    metadata: dict[str, str]
    chapters: tuple[Chapter, ...]
    complete: bool
    damage: tuple[str, ...]

    @property
    def segments(self) -> tuple[tuple[int, int], ...]:
        """First frame and number of frames of each segment."""
        columns = (self.index.column(name).tolist() for name in ("first_frame", "frames"))
        return tuple(zip(*columns, strict=True))

    @property
    def predicted(self) -> tuple[int, ...]:
        """Numbers of the segments that are predicted from the segment before them."""
        return tuple(np.flatnonzero(self.index.column("predicted")).tolist())


def inspect(source: str | os.PathLike[str] | bytes | BinaryIO) -> StreamInfo:
    """Read header, tracks and segments of a stream, without decoding it.

    Args:
        source: Path, contents, or binary file object.

    Raises:
        BitstreamError: If the source is not an `.nvc` stream, or its header is damaged.
        UnsupportedVersionError: If this release does not know its version or model.
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
            index=reader.segments,
            model=model,
            boosted=isinstance(config, NetworkConfig) and config.boosted,
            parameters=config.parameters,
            macs_per_pixel=config.macs_per_pixel,
            tokens=_tokens(reader),
            tracks=dict(reader.tracks),
            metadata=dict(reader.metadata),
            chapters=reader.chapters,
            complete=reader.complete,
            damage=tuple(str(damage) for damage in reader.damage),
        )


def total_steps(segments: SegmentList) -> int:
    """Return the number of time steps of tokens of all segments."""
    lengths, counts = np.unique(segments.column("frames"), return_counts=True)
    return sum(
        token_step_count(length) * count
        for length, count in zip(lengths.tolist(), counts.tolist(), strict=True)
    )


def _tokens(reader: Reader) -> TokensInfo | None:
    tokens, video = reader.header.tokens, reader.header.video
    if tokens is None:
        return None
    rows, columns = token_grid_size(video.width, video.height)
    steps = total_steps(reader.segments)
    return TokensInfo(
        tokenizer_id=tokens.tokenizer_id.hex(),
        fed=tokens.conditioning,
        steps=steps,
        rows=rows,
        columns=columns,
        bytes=reader.token_bytes,
        bits_per_token=8 * reader.token_bytes / max(steps * rows * columns, 1),
    )
