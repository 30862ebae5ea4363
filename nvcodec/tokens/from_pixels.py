"""Tokens of any video, made from its pictures: for files that store none, and other formats."""

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
from nvcodec.media import Colour, Frames, VideoInfo
from nvcodec.models.tokenizer.layout import SPACE_STRIDE, TIME_STRIDE, frames_of, grid_of
from nvcodec.tokenizer.segment_tokens import tokenizer, tokens_of
from nvcodec.tokenizer.token_ids import LEVELS
from nvcodec.tokens.grid import TokenGrid
from nvcodec.video.colour import matrix_for
from nvcodec.video.source import open_source

LONGEST = 10 * SPACE_STRIDE
"""Samples of the longer side, unless another size is asked for."""
# Frames of a video without segments after which tokens begin anew; whole steps.
_STRETCH = 1 + 32 * TIME_STRIDE


def small_size(width: int, height: int) -> tuple[int, int]:
    """The size at which pictures are tokenised: whole cells, at most ten along the longer side.

    A cell is a token and 32 samples wide, whatever is in it. At ten cells a picture of 16:9 has 60
    tokens a step, which suits what a language model is given, and pictures are about as large as
    those that the tokenizer was trained on. Sides become multiples of 32, so that no cell is partly
    empty, which stretches pictures by a few per cent; small ones keep about their size.

    Args:
        width: Of the video, samples.
        height: Likewise.

    Returns:
        Width and height.
    """
    scale = min(LONGEST / max(width, height), 1.0)
    cells = [max(int(side * scale / SPACE_STRIDE + 0.5), 1) for side in (width, height)]
    return SPACE_STRIDE * cells[0], SPACE_STRIDE * cells[1]


def grid_from_pixels(
    path: str | os.PathLike[str],
    *,
    name: str = DEFAULT_TOKENIZER,
    start: float | None = None,
    end: float | None = None,
    size: tuple[int, int] | None = None,
    device: str = "auto",
) -> TokenGrid:
    """Decode a video small and make tokens of it.

    Tokens begin anew with the segments of an `.nvc` file, and every 129 frames of another video, so
    that they do not depend on the stretch of time asked for.

    Args:
        path: An `.nvc` file, any video, or a folder of images.
        name: Of the tokenizer: a folder, or `bundled:` and a name.
        start: Where the stretch wanted begins, seconds on the video's clock; None for its beginning.
        end: Where it ends, seconds; None for its end.
        size: Width and height of the pictures that are tokenised; None for `small_size`.
        device: Where an `.nvc` file is decoded.

    Returns:
        The steps that are shown at some time in the stretch, without bits. Its `size` is that of
        the pictures that were tokenised.

    Raises:
        ConfigError: If there is no such tokenizer, or nothing is shown in the stretch.
        VideoError: If the video cannot be read.
        BitstreamError: If it is an `.nvc` file in which nothing can be decoded.
    """
    begin = -np.inf if start is None else start
    stop = np.inf if end is None else end
    network = tokenizer(name)  # before any decoding
    parts: list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64], npt.NDArray[np.float64]]] = []
    with ExitStack() as stack:
        if is_stream(path):
            video = stack.enter_context(Decoder(path, device=device))
            info, small = video.info, size or small_size(video.info.width, video.info.height)
            stretches = _segments(video, small, begin, stop)
        else:
            with open_source(path, frames=slice(0, 1)) as probe:
                info, small = probe.info, size or small_size(probe.info.width, probe.info.height)
            source = stack.enter_context(open_source(path, resize=small))
            stretches = iter(lambda: source.read(_STRETCH), None)
        colour = _own_matrix(info)
        for frames in stretches:
            if not len(frames):
                break
            starts, ends = step_times(frames, info)
            if starts[0] >= stop:
                break
            if ends[-1] > begin:
                parts.append((tokens_of(frames, colour, name), starts, ends))
    if not parts:
        raise ConfigError(f"{path}: nothing can be shown from {begin:g} to {stop:g} s")
    digits, starts, ends = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    shape = (len(starts), *grid_of(*small))
    grid = TokenGrid(
        digits=digits.reshape(*shape, len(LEVELS)),
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
    """When each step of a segment begins to be shown and when it ends, seconds; shape (steps,)."""
    steps = frames_of(len(frames))
    ticks = [Fraction(tick) for tick in frames.pts.tolist()]
    following = [*ticks[1:], ticks[-1] + 1 / (info.frame_rate * info.time_base)]
    ends = [
        tick + shown if shown else after  # 0 is for what is not known
        for tick, shown, after in zip(ticks, frames.durations.tolist(), following, strict=True)
    ]
    return (
        np.array([float(ticks[step.start] * info.time_base) for step in steps]),
        np.array([float(ends[step.stop - 1] * info.time_base) for step in steps]),
    )


def _segments(video: Decoder, size: tuple[int, int], begin: float, stop: float) -> Iterator[Frames]:
    """The segments of a stream in a stretch of time; those that are damaged are left out."""
    base = video.info.time_base
    entries = video.reader.segments
    firsts = [float(entry.start * base) for entry in entries]
    for entry, first, following in zip(entries, firsts, [*firsts[1:], np.inf], strict=True):
        if first >= stop or following <= begin:
            continue
        parts = list(video.frames(entry.first_frame, entry.stop_frame, size=size))
        if parts:
            yield Frames(
                y=np.concatenate([part.y for part in parts]),
                u=np.concatenate([part.u for part in parts]),
                v=np.concatenate([part.v for part in parts]),
                pts=np.concatenate([part.pts for part in parts]),
                durations=np.concatenate([part.durations for part in parts]),
            )


def _own_matrix(info: VideoInfo) -> Colour:
    """The colour of pictures that are made smaller: what is guessed is guessed by their own size."""
    return replace(info.colour, matrix=matrix_for(info.colour, info.width, info.height))
