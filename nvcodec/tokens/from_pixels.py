"""Tokenisation of the pictures of any video: of `.nvc` files without tokens, and other formats."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from nvcodec.config import DEFAULT_TOKENIZER
from nvcodec.container.probe import is_stream
from nvcodec.decoding.decoder import Decoder
from nvcodec.errors import ConfigError
from nvcodec.indexing import Seconds, float_seconds
from nvcodec.media import Colour, Frames, VideoInfo
from nvcodec.models.tokenizer.layout import (
    SPACE_STRIDE,
    TIME_STRIDE,
    frames_of_token_steps,
    token_grid_size,
)
from nvcodec.tokenizer.segment_tokens import tokenise_segment, tokenizer
from nvcodec.tokenizer.token_ids import LEVELS
from nvcodec.tokens.grid import TokenGrid
from nvcodec.video.colour import matrix_for
from nvcodec.video.sources.source import open_source

LONGEST = 10 * SPACE_STRIDE
"""Largest side of tokenised pictures by default, samples."""
# Length of the parts that a video without segments is tokenised in, frames; whole time steps.
_CHUNK_FRAMES = 1 + 32 * TIME_STRIDE


def small_size(width: int, height: int) -> tuple[int, int]:
    """Return the size at which pictures are tokenised: whole cells, at most ten along a side.

    A cell of 32x32 samples becomes one token. With ten cells along the longer side, a picture of
    16:9 has 60 tokens per time step, a suitable number for a language model, and its size is about
    that of the training data of the tokenizer. Sides are rounded to multiples of 32, so that no cell
    is partly empty; this changes the aspect ratio by a few per cent. Small pictures keep about their
    size.

    Args:
        width: Width of the video, samples.
        height: Height of the video, samples.

    Returns:
        Width and height, samples.
    """
    scale = min(LONGEST / max(width, height), 1.0)
    cells = [max(int(side * scale / SPACE_STRIDE + 0.5), 1) for side in (width, height)]
    return SPACE_STRIDE * cells[0], SPACE_STRIDE * cells[1]


def grid_from_pixels(
    path: str | os.PathLike[str],
    *,
    name: str = DEFAULT_TOKENIZER,
    start: Seconds | None = None,
    end: Seconds | None = None,
    size: tuple[int, int] | None = None,
    device: str = "auto",
) -> TokenGrid:
    """Decode a video at a small size and make tokens of it.

    Time steps restart with every segment of an `.nvc` file, and every 129 frames of another video,
    so that tokens do not depend on the requested time range.

    Args:
        path: `.nvc` file, any video, or folder of images.
        name: Name of the tokenizer: a folder, or `bundled:` and a name.
        start: Start of the time range on the video's clock, seconds; None for that of the video.
        end: End of the time range, seconds; None for that of the video.
        size: Width and height of the tokenised pictures, samples; None for those of `small_size`.
        device: Device that decodes an `.nvc` file: `"auto"`, `"cpu"`, `"cuda"` or `"cuda:N"`.

    Returns:
        The time steps of which a part is shown in the time range. Their `bits` are zero, and `size`
        is that of the tokenised pictures.

    Raises:
        ConfigError: If there is no such tokenizer, nothing is shown in the time range, or a time is
            not a number (NaN).
        VideoError: If the video cannot be read.
        BitstreamError: If the file is an `.nvc` file of which nothing can be decoded.
    """
    begin = -np.inf if start is None else float_seconds(start)
    stop = np.inf if end is None else float_seconds(end)
    network = tokenizer(name)  # fails before any decoding
    parts: list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64], npt.NDArray[np.float64]]] = []
    with ExitStack() as stack:
        if is_stream(path):
            video = stack.enter_context(Decoder(path, device=device))
            info, small = video.info, size or small_size(video.info.width, video.info.height)
            chunks = _decode_segments(video, small, begin, stop)
        else:
            with open_source(path, frames=slice(0, 1)) as probe:
                info, small = probe.info, size or small_size(probe.info.width, probe.info.height)
            source = stack.enter_context(open_source(path, resize=small))
            chunks = iter(lambda: source.read(_CHUNK_FRAMES), None)
        colour = _colour_at_full_size(info)
        for frames in chunks:
            if not len(frames):
                break
            starts, ends = step_times(frames, info)
            if starts[0] >= stop:
                break
            if ends[-1] > begin:
                parts.append((tokenise_segment(frames, colour, name), starts, ends))
    if not parts:
        raise ConfigError(f"{path}: nothing can be shown from {begin:g} to {stop:g} s")
    fsq_indices, starts, ends = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    shape = (len(starts), *token_grid_size(*small))
    grid = TokenGrid(
        digits=fsq_indices.reshape(*shape, len(LEVELS)),
        bits=np.zeros(shape, np.float32),
        starts=starts,
        ends=ends,
        size=small,
        tokenizer_id=network.tokenizer_id,
    )
    return grid if start is None and end is None else grid.during(begin, stop)


def step_times(
    frames: Frames, info: VideoInfo
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return when the time steps of a segment start and end, seconds.

    Args:
        frames: Frames of the segment.
        info: Properties of the video.

    Returns:
        Starts and ends of the time steps, shape (t,) each.
    """
    steps = frames_of_token_steps(len(frames))
    ticks = [Fraction(tick) for tick in frames.pts.tolist()]
    following = [*ticks[1:], ticks[-1] + 1 / (info.frame_rate * info.time_base)]
    ends = [
        tick + shown if shown else after  # a duration of 0 means unknown
        for tick, shown, after in zip(ticks, frames.durations.tolist(), following, strict=True)
    ]
    return (
        np.array([float(ticks[step.start] * info.time_base) for step in steps]),
        np.array([float(ends[step.stop - 1] * info.time_base) for step in steps]),
    )


def _decode_segments(
    video: Decoder, size: tuple[int, int], begin: float, stop: float
) -> Iterator[Frames]:
    """Decode the segments in a time range, at a width and height; leave out damaged ones."""
    segments = video.reader.segments
    for number in segments.shown(begin, stop, video.info.time_base):
        entry = segments[number]
        parts = list(video.frames(entry.first_frame, entry.stop_frame, size=size))
        if parts:
            yield Frames(
                y=np.concatenate([part.y for part in parts]),
                u=np.concatenate([part.u for part in parts]),
                v=np.concatenate([part.v for part in parts]),
                pts=np.concatenate([part.pts for part in parts]),
                durations=np.concatenate([part.durations for part in parts]),
            )


def _colour_at_full_size(info: VideoInfo) -> Colour:
    """Return the colour properties with an unspecified matrix guessed by the size of the video."""
    return replace(info.colour, matrix=matrix_for(info.colour, info.width, info.height))
