"""The anchors, x264, x265 and SVT-AV1: the same planes, by libavcodec, in a file of their own.

Encoders are told a preset and a constant rate factor and keep their own defaults for all else:
GOP, B-frames, scene cuts, tuning. Two things are done for them: they use frame threads (PyAV would
have them cut every picture into slices, which costs x264 a fifth of its rate on small pictures),
and the paragraph about themselves that x264 and x265 write into the stream is left out.

    python -m benchmarks.harness.anchor_codecs SOURCE OUT.mkv --encoder x264-medium --crf 28
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
from av.bitstream import BitStreamFilterContext
from av.container import OutputContainer
from av.stream import Stream

from nvcodec.media import Frames, VideoInfo
from nvcodec.video import open_source

# How far the anchor's size may be from the wanted one, and when the search is content.
TOLERANCE = 0.03
_CONTENT = 0.005
_MOST_TRIES = 14
# What an encoder calls itself, in its stream or on stderr.
_NAMED = re.compile(rb"x264 - core \d+|x265 \(build \d+\) - [\w.+-]+|SVT-AV1 Encoder Lib v[\w.-]+")
# NAL units that hold remarks (SEI) and no picture; none of these encoders writes others of use.
_REMARKS = {"libx264": "6", "libx265": "39|40"}
_ONE_FRAME = 64  # its side; SVT-AV1 takes none below


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """An encoder at a preset.

    Attributes:
        codec: As libavcodec names it.
        preset: As the encoder names it.
        crf: Its lowest and highest constant rate factor.
        fractions: Whether it takes parts of one.
        tune: What x264 or x265 optimise for, as `-tune` names it; None for their default, the eye.
    """

    codec: str
    preset: str
    crf: tuple[int, int] = (0, 51)
    fractions: bool = True
    tune: str | None = None

    def options(self, crf: float) -> dict[str, str]:
        """What libavcodec is told."""
        shown = f"{crf:.3f}".rstrip("0").rstrip(".")
        tune = {} if self.tune is None else {"tune": self.tune}
        return {"preset": self.preset, "crf": shown, **tune}


ENCODERS = {
    "x264-medium": Encoder(codec="libx264", preset="medium"),
    "x264-veryslow": Encoder(codec="libx264", preset="veryslow"),
    "x265-medium": Encoder(codec="libx265", preset="medium"),
    "x265-veryslow": Encoder(codec="libx265", preset="veryslow"),
    "svtav1-6": Encoder(codec="libsvtav1", preset="6", crf=(1, 63), fractions=False),
    "svtav1-3": Encoder(codec="libsvtav1", preset="3", crf=(1, 63), fractions=False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """A file the anchor made.

    Attributes:
        path: The file; its size counts whole, as that of an `.nvc` file does.
        bytes: Its size.
        stream_bytes: What the encoder's packets take of it; the rest is the container's.
        crf: Constant rate factor.
        options: What the encoder was told.
        seconds: Time to encode it once.
    """

    path: Path
    bytes: int
    stream_bytes: int
    crf: float
    options: Mapping[str, str]
    seconds: float


def encode(
    encoder: Encoder, frames: Frames, info: VideoInfo, path: Path, crf: float, threads: int = 0
) -> Anchor:
    """Encode planes.

    Args:
        encoder: Which, and its preset.
        frames: What to encode; times are theirs.
        info: Size, rate and colour of the frames.
        path: File to write; the suffix says in which container.
        crf: Constant rate factor.
        threads: 0 for the encoder's own default.
    """
    options = encoder.options(crf)
    begin = time.perf_counter()
    size = 0
    # Bit-exact: muxers then leave out their own name and version too.
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        quiet = {"x265-params": "log-level=none:info=0"} if encoder.codec == "libx265" else {}
        stream = container.add_stream(
            encoder.codec, rate=Fraction(info.frame_rate), options={**options, **quiet}
        )
        assert isinstance(stream, av.VideoStream)  # for the type checker
        stream.width, stream.height, stream.pix_fmt = info.width, info.height, "yuv420p"
        context = stream.codec_context
        stream.time_base = context.time_base = info.time_base
        context.thread_type, context.thread_count = "AUTO", threads
        if info.colour.full_range:
            context.color_range = 2
        remarks = _REMARKS.get(encoder.codec)
        description = f"filter_units=remove_types={remarks}" if remarks else "null"
        kept = BitStreamFilterContext(description, stream)
        for place in range(len(frames)):
            for packet in stream.encode(_picture(frames, place, info)):
                size += _muxed(container, kept.filter(packet))
        for packet in stream.encode(None):
            size += _muxed(container, kept.filter(packet))
        size += _muxed(container, kept.filter(None))
    seconds = time.perf_counter() - begin
    return Anchor(
        path=path,
        bytes=path.stat().st_size,
        stream_bytes=size,
        crf=crf,
        options=options,
        seconds=seconds,
    )


def encode_at(
    encoder: Encoder, frames: Frames, info: VideoInfo, path: Path, wanted: int, threads: int = 0
) -> Anchor:
    """Encode at the rate factor whose file is as large as wanted.

    Args:
        encoder: Which, and its preset.
        frames: What to encode.
        info: Size, rate and colour of the frames.
        path: File to write.
        wanted: Bytes of the whole file.
        threads: 0 for the encoder's own default.

    Raises:
        SystemExit: If no rate factor comes within 3 % of the wanted size.
    """
    low, high = (float(limit) for limit in encoder.crf)
    tried: dict[float, int] = {}
    for _ in range(_MOST_TRIES):
        middle = (low + high) / 2
        crf = round(middle, 3) if encoder.fractions else float(round(middle))
        if crf in tried:
            break
        made = encode(encoder, frames, info, path, crf, threads)
        tried[crf] = made.bytes
        if abs(made.bytes / wanted - 1) <= _CONTENT:
            return made
        low, high = (crf, high) if made.bytes > wanted else (low, crf)
    best = min(tried, key=lambda crf: abs(tried[crf] - wanted))
    made = encode(encoder, frames, info, path, best, threads)
    if abs(made.bytes / wanted - 1) > TOLERANCE:
        raise SystemExit(f"{encoder.codec} makes {made.bytes} bytes at best, {wanted} are wanted")
    return made


@lru_cache
def version(codec: str) -> str:
    """What an encoder calls itself, read off a stream of one frame."""
    command = [sys.executable, "-c", _INTRODUCTION.format(codec=codec, side=_ONE_FRAME)]
    said = subprocess.run(command, capture_output=True, check=True)
    named = _NAMED.search(said.stdout + said.stderr)
    return named[0].decode() if named else codec


# A process of its own, since SVT-AV1 says its version on stderr only.
_INTRODUCTION = """
import sys, fractions, av
context = av.CodecContext.create({codec!r}, "w")
context.width = context.height = {side}
context.pix_fmt, context.framerate, context.time_base = "yuv420p", 25, fractions.Fraction(1, 25)
picture = av.VideoFrame({side}, {side}, "yuv420p")
picture.pts = 0
for packet in [*context.encode(picture), *context.encode(None)]:
    sys.stdout.buffer.write(bytes(packet))
"""


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.harness.anchor_codecs",
        description=(__doc__ or "").partition("\n")[0],
    )
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path, help="file to write; its suffix says the container")
    parser.add_argument("--encoder", choices=list(ENCODERS), required=True)
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument("--crf", type=float, help="constant rate factor")
    size.add_argument("--bytes", type=int, help="of the whole file, met within 3 %%")
    parser.add_argument("--threads", type=int, default=0, help="0 for the encoder's default")
    options = parser.parse_args(argv)
    encoder = ENCODERS[options.encoder]
    with open_source(options.source) as source:
        frames, info = source.read(1 << 30), source.info
    if options.bytes is None:
        made = encode(encoder, frames, info, options.out, options.crf, options.threads)
    else:
        made = encode_at(encoder, frames, info, options.out, options.bytes, options.threads)
    print(json.dumps({**asdict(made), "path": str(made.path)}))


def _muxed(container: OutputContainer, packets: Sequence[av.Packet[Stream]]) -> int:
    """Write packets; their bytes."""
    container.mux(packets)
    return sum(packet.size for packet in packets)


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


if __name__ == "__main__":
    main()
