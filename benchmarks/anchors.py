"""x264 as the anchor: the same planes, by libavcodec, at the bytes of another file."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av

from nvcodec.media import Frames, VideoInfo

# How far the anchor's size may be from the wanted one, and when the search is content.
TOLERANCE = 0.03
_CONTENT = 0.005
_HIGHEST_CRF = 51.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """A file the anchor made.

    Attributes:
        path: The file; its size counts whole, as that of an `.nvc` file does.
        bytes: Its size.
        options: What libx264 was told.
        seconds: Time to encode it once.
        version: What the encoder calls itself in the stream.
    """

    path: Path
    bytes: int
    options: Mapping[str, str] = field(default_factory=dict)
    seconds: float
    version: str


def x264(frames: Frames, info: VideoInfo, path: Path, crf: float, preset: str = "medium") -> Anchor:
    """Encode planes with libx264 at its defaults for a preset: default GOP, B-frames, threads.

    Args:
        frames: What to encode; times are theirs.
        info: Size, rate and colour of the frames.
        path: File to write; the suffix says in which container.
        crf: Constant rate factor; fractions allowed.
        preset: Of x264.
    """
    options = {"preset": preset, "crf": f"{crf:.3f}"}
    begin = time.perf_counter()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(info.frame_rate), options=options)
        stream.width, stream.height, stream.pix_fmt = info.width, info.height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = info.time_base
        if info.colour.full_range:
            stream.codec_context.color_range = 2
        for place in range(len(frames)):
            container.mux(stream.encode(_picture(frames, place, info)))
        container.mux(stream.encode(None))
    seconds = time.perf_counter() - begin
    data = path.read_bytes()
    named = re.search(rb"x264 - core (\d+(?: r\w+)?)", data)
    return Anchor(
        path=path,
        bytes=len(data),
        options=options,
        seconds=seconds,
        version=f"x264 core {named[1].decode()}" if named else "libx264",
    )


def x264_at(
    frames: Frames, info: VideoInfo, path: Path, wanted: int, preset: str = "medium"
) -> Anchor:
    """Encode at the rate factor whose file is as large as wanted.

    Args:
        frames: What to encode.
        info: Size, rate and colour of the frames.
        path: File to write.
        wanted: Bytes of the whole file.
        preset: Of x264.

    Raises:
        SystemExit: If no rate factor comes within 3 % of the wanted size.
    """
    low, high = 0.0, _HIGHEST_CRF
    tried: dict[float, int] = {}
    for _ in range(14):
        crf = round((low + high) / 2, 3)
        made = x264(frames, info, path, crf, preset)
        tried[crf] = made.bytes
        if abs(made.bytes / wanted - 1) <= _CONTENT:
            return made
        low, high = (crf, high) if made.bytes > wanted else (low, crf)
    best = min(tried, key=lambda crf: abs(tried[crf] - wanted))
    made = x264(frames, info, path, best, preset)
    if abs(made.bytes / wanted - 1) > TOLERANCE:
        raise SystemExit(f"x264 makes {made.bytes} bytes at best, {wanted} are wanted")
    return made


def _picture(frames: Frames, place: int, info: VideoInfo) -> av.VideoFrame:
    """One frame as libav takes it; odd sizes have chroma planes rounded up, as in `Frames`."""
    picture = av.VideoFrame(info.width, info.height, "yuv420p")
    for plane, samples in zip(picture.planes, (frames.y, frames.u, frames.v), strict=True):
        rows, columns = samples.shape[1:]
        buffer = bytearray(plane.line_size * rows)
        for row in range(rows):
            start = row * plane.line_size
            buffer[start : start + columns] = samples[place, row].tobytes()
        plane.update(bytes(buffer))
    picture.pts, picture.time_base = int(frames.pts[place]), info.time_base
    if info.colour.full_range:
        picture.color_range = 2
    return picture
