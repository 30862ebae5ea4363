"""A first look: Big Buck Bunny to an `.nvc` file and back, by the command line, beside x264.

The script encodes two seconds at a small size, decodes the file in a fresh process, encodes the
same pictures with x264 to the same bytes, and measures both files with `nvcodec compare`. x264 is
in the table so that the numbers can be compared with a codec that everyone knows.
"""

from __future__ import annotations

import json
import shutil
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

_FIGURE = record.ROOT / "docs" / "figures" / "demo.png"  # Replaced with `--out`, as its numbers.
_GAP = 8  # White columns between the pictures.


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("demo", __doc__, out_help="JSON file to write; by default none")
    parser.add_argument("--resize", default="320x176", metavar="WxH", help="width and height")
    parser.add_argument("--frames", default="0:48", metavar="A:B", help="first frame, end")
    parser.add_argument("--bpp", default="0.1", help="target size in bits per pixel")
    parser.add_argument("--preset", default="medium", help="preset of nvcodec's encode")
    parser.add_argument("--time-limit", default="150s", help="time limit of nvcodec's encode")
    parser.add_argument(
        "--folder", type=Path, default=Path("out"), help="folder for the encoded files"
    )
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
    target_bytes = report["video_bytes"]
    x264 = ENCODERS["x264-medium"]
    anchor = encode_at(x264, frames, info, anchor_file, target_bytes)
    # By default x264 gives up PSNR for visual quality; a comparison of PSNR is fair with this tune.
    tuned = encode_at(replace(x264, tune="psnr"), frames, info, tuned_file, target_bytes)
    comparisons = {
        name: _nvcodec("compare", str(source), str(path), "--frames", options.frames)
        for name, path in (
            ("nvcodec", file),
            ("x264 medium", anchor_file),
            ("x264 medium, tune=psnr", tuned_file),
        )
    }
    picture = folder / "bunny_compared.png"
    middle = len(frames) // 2
    anchor_frames, _ = read(anchor_file)
    with nvcodec.open(file) as decoder:
        nvcodec_picture = decoder[middle]
    anchor_picture = rgb(anchor_frames.y, anchor_frames.u, anchor_frames.v, info.colour)[middle]
    source_picture = rgb(frames.y, frames.u, frames.v, info.colour)[middle]
    _side_by_side(picture, [source_picture, nvcodec_picture, anchor_picture])

    encode_seconds = {
        "nvcodec": report["encode_seconds"],
        "x264 medium": anchor.seconds,
        "x264 medium, tune=psnr": tuned.seconds,
    }
    rows = tuple(
        (
            name,
            str(comparison["video_bytes"]),
            f"{comparison['bpp']:.4f}",
            f"{comparison['psnr_y']:.2f}",
            f"{comparison['ms_ssim']:.4f}",
            f"{encode_seconds[name]:.2f}",
            f"{comparison['decode_seconds']:.2f}",
        )
        for name, comparison in comparisons.items()
    )
    columns = ("", "bytes", "bpp", "PSNR Y, dB", "MS-SSIM", "encode, s", "decode, s")
    note = (
        f"{report['frames']} frames of {size[0]}x{size[1]}, {report['parameters']} parameters, "
        f"{report['epochs']} epochs on {report['device']}; {version('libx264')}, "
        f"CRF {anchor.options['crf']} and {tuned.options['crf']}. Sound, {report['bytes'] - report['video_bytes']} bytes in the "
        ".nvc file, is not counted."
    )
    table = record.ResultTable(columns, rows, note)
    if options.out:
        results = {
            "nvcodec": report,
            "decode": decoded,
            "compare": comparisons,
            "x264": anchor.options,
            "x264_tune_psnr": tuned.options,
        }
        record.write(options.out, results, {"main": table})
        shutil.copy(picture, _FIGURE)
    else:
        print(table.text())
    print()
    for description, path in (
        ("encoded by nvcodec, with the sound", file),
        ("decoded from it, to watch", video),
        ("encoded by x264 to the same bytes", anchor_file),
        ("the same with tune=psnr", tuned_file),
        (f"frame {middle} of source, nvcodec and x264", picture),
    ):
        print(f"{path}: {description}")
    print(f"{time.perf_counter() - begin:.0f} seconds in total")


def _nvcodec(*arguments: str) -> dict[str, Any]:
    """Run the command line in a process of its own and return its JSON report."""
    script = Path(sys.executable).with_name("nvcodec")
    command = [str(script)] if script.exists() else [sys.executable, "-m", "nvcodec"]
    command += [*arguments, "--json"]
    print("$", " ".join(["nvcodec", *command[len(command) - len(arguments) - 1 :]]), flush=True)
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if run.returncode:
        raise SystemExit(run.returncode)
    report: dict[str, Any] = json.loads(run.stdout)
    return report


def _side_by_side(path: Path, pictures: Sequence[UInt8Array]) -> None:
    """Write pictures side by side, at twice their size, as one PNG."""
    height = pictures[0].shape[0]
    gap = np.full((height, _GAP // 2, 3), 255, np.uint8)
    parts = [part for picture in pictures for part in (picture, gap)][:-1]
    canvas = np.concatenate(parts, axis=1).repeat(2, axis=0).repeat(2, axis=1)
    encoder = av.CodecContext.create("png", "w")
    assert isinstance(encoder, av.VideoCodecContext)  # for the type checker
    encoder.width, encoder.height, encoder.pix_fmt = canvas.shape[1], canvas.shape[0], "rgb24"
    encoder.time_base = Fraction(1)
    encoder.thread_count = 1  # Frame threads would delay the only frame.
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(canvas), format="rgb24")
    frame.pts = 0
    path.write_bytes(b"".join(bytes(p) for p in [*encoder.encode(frame), *encoder.encode(None)]))


if __name__ == "__main__":
    main()
