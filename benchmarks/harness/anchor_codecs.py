"""Encode a video by an anchor, x264, x265 or SVT-AV1, to a rate factor or a size.

The anchors are called through libavcodec on the planes that nvcodec reads. They get a preset and a
constant rate factor; GOP, B-frames and scene cuts are their own defaults. So is the tuning, which is
for visual quality in x264 and x265, except where the name ends in `-psnr`. Two things are changed in their favour: they use frame threads (PyAV's default is slices, which cost x264 a fifth
of its rate on small pictures), and the SEI with the encoder's name and options is removed.

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

# Largest relative error of the size, and the error at which the search ends early.
TOLERANCE = 0.03
_CLOSE_ENOUGH = 0.005
_MAX_TRIALS = 14
# Name and version of an encoder, in its stream or on stderr.
_ENCODER_NAME = re.compile(
    rb"x264 - core \d+|x265 \(build \d+\) - [\w.+-]+|SVT-AV1 Encoder Lib v[\w.-]+"
)
# Types of SEI NAL units; these encoders write none that decoding needs.
_SEI_UNITS = {"libx264": "6", "libx265": "39|40"}
_PROBE_SIDE = 64  # The smallest frame that SVT-AV1 accepts.


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorEncoder:
    """An encoder at a preset.

    Attributes:
        codec: Name of the encoder in libavcodec.
        preset: Name of the preset.
        crf: Lowest and highest constant rate factor.
        fractions: Whether the rate factor may have a fractional part.
        tune: Value of `-tune` for x264 and x265; None for their default, visual quality.
    """

    codec: str
    preset: str
    crf: tuple[int, int] = (0, 51)
    fractions: bool = True
    tune: str | None = None

    def options(self, crf: float) -> dict[str, str]:
        """Return the options for libavcodec at a constant rate factor."""
        text = f"{crf:.3f}".rstrip("0").rstrip(".")
        tune = {} if self.tune is None else {"tune": self.tune}
        return {"preset": self.preset, "crf": text, **tune}


ENCODERS = {
    "x264-medium": AnchorEncoder(codec="libx264", preset="medium"),
    "x264-veryslow": AnchorEncoder(codec="libx264", preset="veryslow"),
    "x265-medium": AnchorEncoder(codec="libx265", preset="medium"),
    "x265-veryslow": AnchorEncoder(codec="libx265", preset="veryslow"),
    "x264-medium-psnr": AnchorEncoder(codec="libx264", preset="medium", tune="psnr"),
    "x265-medium-psnr": AnchorEncoder(codec="libx265", preset="medium", tune="psnr"),
    "x265-veryslow-psnr": AnchorEncoder(codec="libx265", preset="veryslow", tune="psnr"),
    "svtav1-6": AnchorEncoder(codec="libsvtav1", preset="6", crf=(1, 63), fractions=False),
    "svtav1-3": AnchorEncoder(codec="libsvtav1", preset="3", crf=(1, 63), fractions=False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """A file that an anchor made.

    Attributes:
        path: The file.
        bytes: Size of the whole file, container included, as for `.nvc` files.
        stream_bytes: Size of the encoder's packets; the rest is the container's.
        crf: Constant rate factor.
        options: Options of the encoder.
        seconds: Time of one encode.
    """

    path: Path
    bytes: int
    stream_bytes: int
    crf: float
    options: Mapping[str, str]
    seconds: float


def encode(
    encoder: AnchorEncoder,
    frames: Frames,
    info: VideoInfo,
    path: Path,
    crf: float,
    threads: int = 0,
) -> Anchor:
    """Encode frames at a constant rate factor.

    Args:
        encoder: The encoder and its preset.
        frames: Frames to encode, with their timestamps.
        info: Size, rate and colour of the frames.
        path: File to write; its suffix selects the container.
        crf: Constant rate factor.
        threads: Number of threads; 0 for the encoder's default.
    """
    options = encoder.options(crf)
    begin = time.perf_counter()
    size = 0
    # With this flag muxers leave out their own name and version.
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
        sei_units = _SEI_UNITS.get(encoder.codec)
        description = f"filter_units=remove_types={sei_units}" if sei_units else "null"
        bitstream_filter = BitStreamFilterContext(description, stream)
        for index in range(len(frames)):
            for packet in stream.encode(_picture(frames, index, info)):
                size += _mux(container, bitstream_filter.filter(packet))
        for packet in stream.encode(None):
            size += _mux(container, bitstream_filter.filter(packet))
        size += _mux(container, bitstream_filter.filter(None))
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
    encoder: AnchorEncoder,
    frames: Frames,
    info: VideoInfo,
    path: Path,
    target_bytes: int,
    threads: int = 0,
) -> Anchor:
    """Encode to a size, by a bisection of the constant rate factor.

    Args:
        encoder: The encoder and its preset.
        frames: Frames to encode, with their timestamps.
        info: Size, rate and colour of the frames.
        path: File to write; its suffix selects the container.
        target_bytes: Size of the whole file in bytes.
        threads: Number of threads; 0 for the encoder's default.

    Raises:
        SystemExit: If no rate factor comes within 3 % of the size.
    """
    low, high = (float(limit) for limit in encoder.crf)
    sizes: dict[float, int] = {}
    for _ in range(_MAX_TRIALS):
        middle = (low + high) / 2
        crf = round(middle, 3) if encoder.fractions else float(round(middle))
        if crf in sizes:
            break
        anchor = encode(encoder, frames, info, path, crf, threads)
        sizes[crf] = anchor.bytes
        if abs(anchor.bytes / target_bytes - 1) <= _CLOSE_ENOUGH:
            return anchor
        low, high = (crf, high) if anchor.bytes > target_bytes else (low, crf)
    best = min(sizes, key=lambda crf: abs(sizes[crf] - target_bytes))
    anchor = encode(encoder, frames, info, path, best, threads)
    if abs(anchor.bytes / target_bytes - 1) > TOLERANCE:
        raise SystemExit(
            f"{encoder.codec} makes {anchor.bytes} bytes at best, {target_bytes} are wanted"
        )
    return anchor


@lru_cache
def version(codec: str) -> str:
    """Return the name and version that an encoder gives itself when it encodes one frame.

    Args:
        codec: Name of the encoder in libavcodec.
    """
    command = [sys.executable, "-c", _PROBE_PROGRAM.format(codec=codec, side=_PROBE_SIDE)]
    run = subprocess.run(command, capture_output=True, check=True)
    match = _ENCODER_NAME.search(run.stdout + run.stderr)
    return match[0].decode() if match else codec


# Runs in a process of its own, since SVT-AV1 writes its version to stderr only.
_PROBE_PROGRAM = """
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
    parser.add_argument("source", type=Path, help="video to encode")
    parser.add_argument("out", type=Path, help="file to write; its suffix selects the container")
    parser.add_argument(
        "--encoder", choices=list(ENCODERS), required=True, help="encoder and preset"
    )
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument("--crf", type=float, help="constant rate factor")
    size.add_argument("--bytes", type=int, help="size of the whole file, met within 3 %%")
    parser.add_argument(
        "--threads", type=int, default=0, help="number of threads; 0 for the encoder's default"
    )
    options = parser.parse_args(argv)
    encoder = ENCODERS[options.encoder]
    with open_source(options.source) as source:
        frames, info = source.read(1 << 30), source.info
    if options.bytes is None:
        anchor = encode(encoder, frames, info, options.out, options.crf, options.threads)
    else:
        anchor = encode_at(encoder, frames, info, options.out, options.bytes, options.threads)
    print(json.dumps({**asdict(anchor), "path": str(anchor.path)}))


def _mux(container: OutputContainer, packets: Sequence[av.Packet[Stream]]) -> int:
    """Write packets and return their size in bytes."""
    container.mux(packets)
    return sum(packet.size for packet in packets)


def _picture(frames: Frames, index: int, info: VideoInfo) -> av.VideoFrame:
    """Return one frame for libav; odd sizes have chroma planes rounded up, as in `Frames`."""
    picture = av.VideoFrame(info.width, info.height, "yuv420p")
    for plane, samples in zip(picture.planes, (frames.y, frames.u, frames.v), strict=True):
        rows, columns = samples.shape[1:]
        buffer = bytearray(plane.line_size * rows)
        for row in range(rows):
            start = row * plane.line_size
            buffer[start : start + columns] = samples[index, row].tobytes()
        plane.update(bytes(buffer))
    picture.pts, picture.time_base = int(frames.pts[index]), info.time_base
    if info.colour.full_range:
        picture.color_range = 2
    return picture


if __name__ == "__main__":
    main()
