"""The cost in picture quality of shared tokens in a file, at equal bytes and equal epochs.

The same clip is fitted with private latents, with the tokens of the shared tokenizer in their
place, and with both; all files have the same target size, tokens included. Models that cannot be
conditioned on tokens store them beside their payload. Networks with tokens alone are always
boosted, so they are compared with boosted ones.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import nvcodec
from benchmarks.harness import record
from benchmarks.harness.clips import clip
from nvcodec.config import LATENTS
from nvcodec.models import config_class
from nvcodec.tokenizer.segment_tokens import tokenizer
from nvcodec.tokens import open_tokens

_ALLOWED = 0.5  # Largest loss of shared tokens, dB.


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("token_latents", __doc__)
    parser.add_argument("--clip", type=Path, help="the video; by default Big Buck Bunny")
    parser.add_argument(
        "--models",
        nargs="+",
        default=["hnerv", "hnerv+boost", "latentgrid"],
        metavar="NAME[+boost]",
        help="models to measure",
    )
    parser.add_argument(
        "--bpp", type=float, nargs="+", default=[0.05, 0.15], help="target sizes in bits per pixel"
    )
    parser.add_argument("--frames", type=int, default=66, help="frames of the clip")
    parser.add_argument(
        "--resize", type=record.size_argument, default=(320, 176), metavar="WxH", help="frame size"
    )
    parser.add_argument("--epochs", type=int, default=30, help="epochs of the float stage")
    parser.add_argument("--tokenizer", default="bundled:small", help="the shared tokenizer")
    options = parser.parse_args(argv)
    source = options.clip or clip("bigbuckbunny.mp4")
    config = nvcodec.EncoderConfig(
        epochs=options.epochs,
        frames=slice(0, options.frames),
        resize=options.resize,
        segment=options.frames,
        tokenizer=options.tokenizer,
        audio=False,
        device="cpu",
    )
    points = [
        _point(source, replace(config, model=family, boost=bool(boost), bpp=bpp, latents=way))
        for family, _, boost in (model.partition("+") for model in options.models)
        for way in LATENTS
        if way != "shared" or (boost and config_class(family).SUPPORTS_TOKENS)
        for bpp in options.bpp
    ]
    points.sort(key=lambda point: (options.models.index(point["model"]), point["bpp"]))
    private_points = {
        (point["model"], point["bpp"]): point for point in points if point["latents"] == "private"
    }
    for point in points:
        point["change"] = (
            point["psnr_yuv"] - private_points[point["model"], point["bpp"]]["psnr_yuv"]
        )
    changes = {
        way: [point["change"] for point in points if point["latents"] == way and point["fed"]]
        for way in ("shared", "both")
    }
    table = record.ResultTable(
        ("model", "bpp", "latents", "bytes", "of them tokens", "stored values", "YUV PSNR, dB",
         "against private, dB"),
        tuple(
            (
                point["model"],
                f"{point['bpp']:g}",
                point["latents"],
                str(point["bytes"]),
                str(point["token_bytes"]),
                str(point["parameters"]),
                f"{point['psnr_yuv']:.2f}",
                f"{point['change']:+.2f}" if point["latents"] != "private" else "",
            )
            for point in points
        ),
        f"{options.frames} frames of {options.resize[0]}x{options.resize[1]}, one segment, "
        f"{options.epochs} epochs. Target: shared loses {_ALLOWED:g} dB at most.",
    )  # fmt: skip
    record.write(options.out, {"points": points, "changes": changes}, {"files": table})


def _point(source: Path, config: nvcodec.EncoderConfig) -> dict[str, Any]:
    """Encode and measure a file, or return what an earlier run measured of it.

    Args:
        source: The video.
        config: Settings of the encode.
    """
    record.FILES.mkdir(parents=True, exist_ok=True)
    target = record.FILES / f"token_latents_{_name(config)}_{config.bpp}_{config.latents}.nvc"
    settings = _settings(source, config)
    cache = target.with_suffix(".json")
    if cache.is_file() and (earlier := json.loads(cache.read_text()))["settings"] == settings:
        return dict(earlier["point"])
    report = nvcodec.encode(source, target, config, overwrite=True)
    token_bytes = 0
    if config.latents != "private":
        with open_tokens(target) as tokens:
            token_bytes = tokens.token_bytes
    point = {
        "model": _name(config),
        "bpp": config.bpp,
        "latents": config.latents,
        "fed": config.token_conditioned,
        "bytes": report.video_bytes,
        "token_bytes": token_bytes,
        "parameters": report.parameters,
        "psnr_y": report.psnr_y,
        "psnr_yuv": report.psnr_yuv,
        "encode_seconds": report.encode_seconds,
    }
    cache.write_text(json.dumps({"settings": settings, "point": point}))
    print(point, file=sys.stderr, flush=True)
    return point


def _name(config: nvcodec.EncoderConfig) -> str:
    return config.model + "+boost" * config.boost


def _settings(source: Path, config: nvcodec.EncoderConfig) -> dict[str, Any]:
    """Return everything that a point depends on, for its cache."""
    tokenized = config.latents != "private"
    return {
        "source": str(source),
        "config": str(replace(config, tokenizer="")),
        "tokenizer": tokenizer(config.tokenizer).tokenizer_id if tokenized else None,
    }


if __name__ == "__main__":
    main()
