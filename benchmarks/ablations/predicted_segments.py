"""What it saves to predict segments from the one before, and what it costs a jump into the video.

Every clip is cut into short segments, as a large picture would be, and encoded to one luma PSNR
twice: with segments that all stand alone, and with chains of predicted ones. A jump opens the file
and decodes one random frame.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nvcodec
from benchmarks.harness import record
from benchmarks.harness.clips import SMALL, clip
from nvcodec.models.latentgrid.config import LatentGridConfig


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("predicted_segments", __doc__)
    parser.add_argument("--only", nargs="+", choices=list(SMALL), default=list(SMALL))
    parser.add_argument("--frames", type=int, default=96)
    parser.add_argument("--segment", type=int, default=24)
    parser.add_argument("--refresh", type=int, default=LatentGridConfig.RAP_INTERVAL)
    parser.add_argument("--psnr", type=float, default=34.0)
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--jumps", type=int, default=24)
    options = parser.parse_args(argv)
    found: dict[str, Any] = {}
    for name in options.only:
        file, resize = SMALL[name]
        made = {}
        for refresh in (1, options.refresh):
            config = nvcodec.EncoderConfig(
                preset=options.preset,
                psnr=options.psnr,
                frames=slice(0, options.frames),
                resize=resize,
                segment=options.segment,
                refresh=refresh,
                audio=False,
                device="cpu",
            )
            made[refresh] = _made(clip(file), config, options.jumps)
            print(f"{name}, refresh {refresh}: {made[refresh]}", flush=True)
        found[name] = {"alone": made[1], "predicted": made[options.refresh]}
    rows = [
        (
            name,
            str(each["alone"]["bytes"]),
            f"{each['alone']['psnr_y']:.2f}",
            str(each["predicted"]["bytes"]),
            f"{each['predicted']['psnr_y']:.2f}",
            f"{100 * each['predicted']['bytes'] / each['alone']['bytes'] - 100:+.1f}",
            f"{each['predicted']['predicted']} of {each['predicted']['segments']}",
            f"{each['predicted']['jump_seconds'] / each['alone']['jump_seconds']:.1f}",
        )
        for name, each in found.items()
    ]
    head = (
        "clip", "alone, bytes", "dB", "predicted, bytes", "dB", "change, %", "predicted segments",
        "time of a jump, times",
    )  # fmt: skip
    table = record.ResultTable(
        head,
        tuple(rows),
        f"{options.frames} frames in segments of {options.segment}, at most {options.refresh} in a "
        f"chain, --psnr {options.psnr:g}, {options.preset}.",
    )
    record.write(options.out, found, {"files": table})


def _made(source: Path, config: nvcodec.EncoderConfig, jumps: int) -> dict[str, Any]:
    """Encode a clip, and jump about in it."""
    target = record.FILES / "predicted_segments.nvc"
    target.parent.mkdir(parents=True, exist_ok=True)
    report = nvcodec.encode(source, target, config, overwrite=True)
    with nvcodec.open(target, device="cpu") as video:
        flags = [entry.predicted for entry in video.reader.segments]
    chance = random.Random(0)
    frames = [chance.randrange(report.frames) for _ in range(jumps)]
    began = time.perf_counter()
    for frame in frames:
        with nvcodec.open(target, device="cpu") as video:
            video[frame]
    return {
        "bytes": report.video_bytes,
        "psnr_y": report.psnr_y,
        "segments": len(flags),
        "predicted": sum(flags),
        "jump_seconds": (time.perf_counter() - began) / jumps,
    }


if __name__ == "__main__":
    main()
