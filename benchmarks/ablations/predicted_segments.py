"""Bytes saved by predicting segments from the one before, and the cost for random access.

Every clip is cut into short segments, as a video with large frames would be, and encoded to one
luma PSNR twice: with independent segments only, and with chains of predicted ones. A jump opens the
file and decodes one random frame.
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
    parser.add_argument(
        "--only", nargs="+", choices=list(SMALL), default=list(SMALL), help="clips to measure"
    )
    parser.add_argument("--frames", type=int, default=96, help="frames of each clip")
    parser.add_argument("--segment", type=int, default=24, help="frames of a segment")
    parser.add_argument(
        "--refresh",
        type=int,
        default=LatentGridConfig.RAP_INTERVAL,
        help="segments of a chain, from one random access point to the next",
    )
    parser.add_argument("--psnr", type=float, default=34.0, help="target luma PSNR, dB")
    parser.add_argument("--preset", default="fast", help="preset of the encodes")
    parser.add_argument("--jumps", type=int, default=24, help="random frames that are decoded")
    options = parser.parse_args(argv)
    results: dict[str, Any] = {}
    for name in options.only:
        file, resize = SMALL[name]
        by_refresh = {}
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
            by_refresh[refresh] = _measure(clip(file), config, options.jumps)
            print(f"{name}, refresh {refresh}: {by_refresh[refresh]}", flush=True)
        results[name] = {"alone": by_refresh[1], "predicted": by_refresh[options.refresh]}
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
        for name, each in results.items()
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
    record.write(options.out, results, {"files": table})


def _measure(source: Path, config: nvcodec.EncoderConfig, jumps: int) -> dict[str, Any]:
    """Encode a clip and measure bytes, PSNR and the time of a jump.

    Args:
        source: The clip.
        config: Settings of the encode.
        jumps: Number of random frames that are decoded.
    """
    target = record.FILES / "predicted_segments.nvc"
    target.parent.mkdir(parents=True, exist_ok=True)
    report = nvcodec.encode(source, target, config, overwrite=True)
    with nvcodec.open(target, device="cpu") as video:
        predicted = [entry.predicted for entry in video.reader.segments]
    random_source = random.Random(0)
    frames = [random_source.randrange(report.frames) for _ in range(jumps)]
    began = time.perf_counter()
    for frame in frames:
        with nvcodec.open(target, device="cpu") as video:
            video[frame]
    return {
        "bytes": report.video_bytes,
        "psnr_y": report.psnr_y,
        "segments": len(predicted),
        "predicted": sum(predicted),
        "jump_seconds": (time.perf_counter() - began) / jumps,
    }


if __name__ == "__main__":
    main()
