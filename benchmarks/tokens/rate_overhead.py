"""What it costs pictures that a file holds shared tokens, at equal bytes and equal epochs.

The same clip is fitted with latents of its own, with the tokens of the shared tokenizer in their
place, and with both; every file is to have the same bytes, tokens included. Models that cannot be
fed by tokens store them beside what they are made of. Networks made from tokens alone are always
boosted, hence compared with boosted ones.
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

_ALLOWED = 0.5  # dB


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("token_latents", __doc__)
    parser.add_argument("--clip", type=Path, help="default: Big Buck Bunny")
    parser.add_argument("--models", nargs="+", default=["hnerv", "hnerv+boost", "latentgrid"])
    parser.add_argument("--bpp", type=float, nargs="+", default=[0.05, 0.15])
    parser.add_argument("--frames", type=int, default=66)
    parser.add_argument("--resize", type=record.size_argument, default=(320, 176))
    parser.add_argument("--epochs", type=int, default=30, help="of the float stage")
    parser.add_argument("--tokenizer", default="bundled:small")
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
    points.sort(key=lambda one: (options.models.index(one["model"]), one["bpp"]))
    own = {(one["model"], one["bpp"]): one for one in points if one["latents"] == "private"}
    for one in points:
        one["change"] = one["psnr_yuv"] - own[one["model"], one["bpp"]]["psnr_yuv"]
    changes = {
        way: [one["change"] for one in points if one["latents"] == way and one["fed"]]
        for way in ("shared", "both")
    }
    table = record.ResultTable(
        ("model", "bpp", "latents", "bytes", "of them tokens", "stored values", "YUV PSNR, dB",
         "against private, dB"),
        tuple(
            (
                one["model"],
                f"{one['bpp']:g}",
                one["latents"],
                str(one["bytes"]),
                str(one["token_bytes"]),
                str(one["parameters"]),
                f"{one['psnr_yuv']:.2f}",
                f"{one['change']:+.2f}" if one["latents"] != "private" else "",
            )
            for one in points
        ),
        f"{options.frames} frames of {options.resize[0]}x{options.resize[1]}, one segment, "
        f"{options.epochs} epochs. Target: shared loses {_ALLOWED:g} dB at most.",
    )  # fmt: skip
    record.write(options.out, {"points": points, "changes": changes}, {"files": table})


def _point(source: Path, config: nvcodec.EncoderConfig) -> dict[str, Any]:
    """A file of a size; what an earlier run that was stopped has measured is taken over."""
    record.FILES.mkdir(parents=True, exist_ok=True)
    target = record.FILES / f"token_latents_{_name(config)}_{config.bpp}_{config.latents}.nvc"
    settings = _settings(source, config)
    kept = target.with_suffix(".json")
    if kept.is_file() and (before := json.loads(kept.read_text()))["settings"] == settings:
        return dict(before["point"])
    report = nvcodec.encode(source, target, config, overwrite=True)
    stored = 0
    if config.latents != "private":
        with open_tokens(target) as tokens:
            stored = tokens.token_bytes
    point = {
        "model": _name(config),
        "bpp": config.bpp,
        "latents": config.latents,
        "fed": config.token_conditioned,
        "bytes": report.video_bytes,
        "token_bytes": stored,
        "parameters": report.parameters,
        "psnr_y": report.psnr_y,
        "psnr_yuv": report.psnr_yuv,
        "encode_seconds": report.encode_seconds,
    }
    kept.write_text(json.dumps({"settings": settings, "point": point}))
    print(point, file=sys.stderr, flush=True)
    return point


def _name(config: nvcodec.EncoderConfig) -> str:
    return config.model + "+boost" * config.boost


def _settings(source: Path, config: nvcodec.EncoderConfig) -> dict[str, Any]:
    """What a point depends on."""
    tokenized = config.latents != "private"
    return {
        "source": str(source),
        "config": str(replace(config, tokenizer="")),
        "tokenizer": tokenizer(config.tokenizer).tokenizer_id if tokenized else None,
    }


if __name__ == "__main__":
    main()
