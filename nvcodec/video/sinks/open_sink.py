"""Choice of a sink by the name of the target."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from nvcodec.errors import ConfigError
from nvcodec.files.urls import refuse_url
from nvcodec.media import Chapter, Track, VideoInfo
from nvcodec.video.sinks.container_sink import MuxedSink
from nvcodec.video.sinks.png_sink import PngSink
from nvcodec.video.sinks.sink import Sink, suffix_of
from nvcodec.video.sinks.y4m_sink import Y4mPipe, Y4mSink


def open_sink(
    path: str | os.PathLike[str] | BinaryIO,
    info: VideoInfo,
    *,
    tracks: Sequence[Track] = (),
    overwrite: bool = False,
    encoder: str | None = None,
    quality: int | None = None,
    tags: Mapping[str, str] | None = None,
    chapters: Sequence[Chapter] = (),
) -> Sink:
    """Open a video for writing: `.mp4`, `.mkv`, `.y4m`, or a folder of PNG images.

    Args:
        path: Target; a name without a suffix, or ending in a slash, is a folder. An open binary file,
            such as a pipe, gets the frames as `.y4m` as soon as they come, and stays open.
        info: Properties of the frames.
        tracks: Audio and subtitle tracks whose packets will follow.
        overwrite: Whether an existing target is replaced.
        encoder: Video encoder, for `.mp4` and `.mkv` only: `libx264`, `libx265`, `libvpx-vp9` or
            `ffv1`; None takes libx264, or libvpx-vp9 for odd sizes.
        quality: CRF of that encoder, lower is better; None is nearly transparent.
        tags: Title, artist and so on by key; None for none.
        chapters: Chapters on the clock of the output.

    Returns:
        The sink; a context manager.

    Raises:
        ConfigError: If the suffix is unknown or an option does not apply.
        OutputExistsError: If the target exists and `overwrite` is false.
        VideoError: If the target cannot be written, or cannot hold a track.
        BrokenPipeError: If the target is a pipe whose reader is gone.
    """
    if not isinstance(path, (str, os.PathLike)):
        if encoder is not None or quality is not None:
            raise ConfigError("encoder and quality apply to .mp4 and .mkv only, not to a pipe")
        return Y4mPipe(path, info, tracks=len(tracks))
    refuse_url(path, output=True)
    kind = suffix_of(path)
    target = Path(path)
    if kind in (".mp4", ".mkv"):
        return MuxedSink(
            target,
            info,
            tracks=tracks,
            overwrite=overwrite,
            encoder=encoder,
            quality=quality,
            tags=tags or {},
            chapters=chapters,
        )
    if encoder is not None or quality is not None:
        raise ConfigError(f"{path}: encoder and quality apply to .mp4 and .mkv only")
    simple = Y4mSink if kind == ".y4m" else PngSink
    sink = simple(target, info, tracks=len(tracks), overwrite=overwrite)
    if tags or chapters:
        sink.omit_metadata()
    return sink
