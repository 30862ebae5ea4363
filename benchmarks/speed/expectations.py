"""Time and memory that an encode and a decode take at 320x176, 1280x720 and 1920x1080.

Every row is one `nvcodec encode --json` in a process of its own, which also decodes the file in
another process. The operating system reports peak memory and processor time. On a busy machine the
processor seconds are well below the elapsed seconds times the threads.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import record
from benchmarks.harness.clips import clip

# Name of the clip, width and height, number of frames.
_VIDEOS = (
    ("bigbuckbunny.mp4", (320, 176), 33),
    ("bigbuckbunny.mp4", (1280, 720), 9),
    ("small_bunny_1080p_30fps.mp4", (1920, 1080), 5),
)


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("expectations", __doc__)
    parser.add_argument("--clips", type=Path, help="folder with the clip in 1920x1080")
    parser.add_argument(
        "--presets", nargs="+", default=("ultrafast", "medium"), help="presets to measure"
    )
    parser.add_argument("--bpp", type=float, default=0.1, help="target size in bits per pixel")
    options = parser.parse_args(argv)
    runs = []
    for name, size, frames in _VIDEOS:
        shipped = name == "bigbuckbunny.mp4"
        if not shipped and options.clips is None:
            print(f"{name} is left out: pass --clips FOLDER", file=sys.stderr)
            continue
        source = clip(name) if shipped else options.clips / name
        for preset in options.presets:
            print(f"{size[0]}x{size[1]}, {preset}", file=sys.stderr)
            runs.append(_encode(source, size, frames, preset, options.bpp))
    rows = tuple(
        (
            run["size"],
            run["preset"],
            str(run["frames"]),
            f"{run['encode_seconds'] / run['frames']:.2f}",
            f"{run['processor_seconds'] / run['frames']:.2f}",
            f"{run['frames'] / run['decode_seconds']:.1f}",
            f"{run['peak_bytes'] / 2**20:.0f}",
            f"{run['psnr_y']:.2f}",
            f"{run['bpp']:.3f}",
        )
        for run in runs
    )
    columns = (
        "video", "preset", "frames", "encode, s per frame", "processor, s per frame",
        "decode, frames per s", "peak memory, MiB", "PSNR Y, dB", "bpp",
    )  # fmt: skip
    note = (
        "latentgrid. Processor time is that of encoding and measuring together, over all cores. "
        "Decoding is timed by the process that measures. Peak memory is of the larger process."
    )
    record.write(options.out, {"runs": runs}, {"main": record.ResultTable(columns, rows, note)})


def _encode(
    source: Path, size: tuple[int, int], frames: int, preset: str, bpp: float
) -> dict[str, Any]:
    """Encode frames of a clip and return time, memory and quality.

    Args:
        source: The clip.
        size: Width and height to encode at.
        frames: Number of frames, from the first.
        preset: Name of the preset.
        bpp: Target size in bits per pixel.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "nvcodec", "encode", str(source), "-o", f"{folder}/a.nvc",
            "--resize", f"{size[0]}x{size[1]}", "--frames", f"0:{frames}", "--no-audio",
            "--preset", preset, "--bpp", str(bpp), "--json", "-q",
        ]  # fmt: skip
        process = subprocess.Popen(command, cwd=record.ROOT, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        text = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.stdout.close()
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(process.returncode)
    report = json.loads(text)
    fields = (
        "frames", "bytes", "bpp", "psnr_y", "psnr_yuv", "encode_seconds", "decode_seconds",
        "epochs", "segments",
    )  # fmt: skip
    return {
        "source": source.name,
        "size": f"{size[0]}x{size[1]}",
        "preset": preset,
        **{name: report[name] for name in fields},
        "peak_bytes": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        "processor_seconds": usage.ru_utime + usage.ru_stime,
    }


if __name__ == "__main__":
    main()
