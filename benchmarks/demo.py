"""A first look: Big Buck Bunny to an `.nvc` file and back, by the command line, beside x264.

Encodes two seconds at a small size, decodes the file in a fresh process, encodes the same pictures
with x264 to the same bytes, and measures both with the same command. x264 is in the table
so that the numbers can be compared with something known.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

import nvcodec
from benchmarks.harness import record
from benchmarks.harness.anchor_codecs import ENCODERS, encode_at, version
from benchmarks.harness.clips import clip, read
from nvcodec.media import UInt8Array
from nvcodec.video import rgb

_GAP = 8  # white columns between the pictures


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("demo", __doc__)
    parser.add_argument("--resize", default="320x176", metavar="WxH")
    parser.add_argument("--frames", default="0:48", metavar="A:B")
    parser.add_argument("--bpp", default="0.1")
    parser.add_argument("--preset", default="medium")
    parser.add_argument("--time-limit", default="150s", help="for the encode")
    parser.add_argument("--folder", type=Path, default=Path("out"), help="where the files go")
    parser.set_defaults(out=None)
    options = parser.parse_args(argv)
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)

    source = clip("bigbuckbunny.mp4")
    file, video, anchor_file, tuned_file = (
        folder / f"bunny{end}" for end in (".nvc", ".mp4", "_x264.mkv", "_x264_psnr.mkv")
    )
    begin = time.perf_counter()
    report = _nvcodec(
        "encode", str(source), "-o", str(file), "--resize", options.resize,
        "--frames", options.frames, "--bpp", options.bpp, "--preset", options.preset,
        "--time-limit", options.time_limit, "-y",
    )  # fmt: skip
    decoded = _nvcodec("decode", str(file), "-o", str(video), "-y")

    size = (report["width"], report["height"])
    start, stop = (int(edge) for edge in options.frames.split(":"))
    frames, info = read(source, frames=slice(start, stop), resize=size)
    wanted_bytes = report["video_bytes"]
    x264 = ENCODERS["x264-medium"]
    anchor = encode_at(x264, frames, info, anchor_file, wanted_bytes)
    # x264's default sacrifices PSNR to the eye; where PSNR is compared it is told to optimise that.
    tuned = encode_at(replace(x264, tune="psnr"), frames, info, tuned_file, wanted_bytes)
    sides = {
        name: _nvcodec("compare", str(source), str(path), "--frames", options.frames)
        for name, path in (
            ("nvcodec", file),
            ("x264 medium", anchor_file),
            ("x264 medium, tune=psnr", tuned_file),
        )
    }
    picture = folder / "bunny_compared.png"
    middle = len(frames) // 2
    shown, _ = read(anchor_file)
    with nvcodec.open(file) as decoder:
        ours = decoder[middle]
    theirs = rgb(shown.y, shown.u, shown.v, info.colour)[middle]
    original = rgb(frames.y, frames.u, frames.v, info.colour)[middle]
    _side_by_side(picture, [original, ours, theirs])

    encode_seconds = {
        "nvcodec": report["encode_seconds"],
        "x264 medium": anchor.seconds,
        "x264 medium, tune=psnr": tuned.seconds,
    }
    rows = tuple(
        (
            name,
            str(side["video_bytes"]),
            f"{side['bpp']:.4f}",
            f"{side['psnr_y']:.2f}",
            f"{side['ms_ssim']:.4f}",
            f"{encode_seconds[name]:.2f}",
            f"{side['decode_seconds']:.2f}",
        )
        for name, side in sides.items()
    )
    columns = ("", "bytes", "bpp", "PSNR Y, dB", "MS-SSIM", "encode, s", "decode, s")
    note = (
        f"{report['frames']} frames of {size[0]}x{size[1]}, {report['parameters']} parameters, "
        f"{report['epochs']} epochs on {report['device']}; {version('libx264')}, "
        f"CRF {anchor.options['crf']} and {tuned.options['crf']}. Sound, {report['bytes'] - report['video_bytes']} bytes in the "
        ".nvc file, is not counted."
    )
    table = record.Table(columns, rows, note)
    if options.out:
        results = {
            "nvcodec": report,
            "decode": decoded,
            "compare": sides,
            "x264": anchor.options,
            "x264_tune_psnr": tuned.options,
        }
        record.write(options.out, results, {"main": table})
    else:
        print(table.text())
    print()
    for what, path in (
        ("the network in its file, with the sound", file),
        ("decoded from it, to watch", video),
        ("x264 at the same bytes", anchor_file),
        ("the same with tune=psnr", tuned_file),
        (f"frame {middle}: source, nvcodec, x264", picture),
    ):
        print(f"{path}: {what}")
    print(f"{time.perf_counter() - begin:.0f} seconds in all")


def _nvcodec(*arguments: str) -> dict[str, Any]:
    """Run the command in a process of its own; what it reports."""
    script = Path(sys.executable).with_name("nvcodec")
    command = [str(script)] if script.exists() else [sys.executable, "-m", "nvcodec"]
    command += [*arguments, "--json"]
    print("$", " ".join(["nvcodec", *command[len(command) - len(arguments) - 1 :]]), flush=True)
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if run.returncode:
        raise SystemExit(run.returncode)
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def _side_by_side(path: Path, pictures: Sequence[UInt8Array]) -> None:
    """Write pictures beside each other, twice as large, as one PNG."""
    height = pictures[0].shape[0]
    gap = np.full((height, _GAP // 2, 3), 255, np.uint8)
    parts = [part for picture in pictures for part in (picture, gap)][:-1]
    canvas = np.concatenate(parts, axis=1).repeat(2, axis=0).repeat(2, axis=1)
    encoder = av.CodecContext.create("png", "w")
    assert isinstance(encoder, av.VideoCodecContext)  # for the type checker
    encoder.width, encoder.height, encoder.pix_fmt = canvas.shape[1], canvas.shape[0], "rgb24"
    encoder.time_base = Fraction(1)
    encoder.thread_count = 1  # frame threads would hold the only frame back
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(canvas), format="rgb24")
    frame.pts = 0
    path.write_bytes(b"".join(bytes(p) for p in [*encoder.encode(frame), *encoder.encode(None)]))


if __name__ == "__main__":
    main()
