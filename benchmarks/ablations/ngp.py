"""What the choices of `ngp` are worth: the same clips at the same bytes, with one thing different.

Every variant is an encode of its own, and its quality is that of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from math import ceil
from typing import Any
from unittest import mock

import numpy as np

import nvcodec
from benchmarks.harness import record
from benchmarks.harness.clips import clip
from nvcodec.models.base.network_config import NetworkTarget
from nvcodec.models.base.tensor_spec import TensorSpec
from nvcodec.models.ngp import config as ngp_config
from nvcodec.models.ngp.config import NGPConfig

Levels = tuple[tuple[int, int, int], ...]
Patch = Callable[[], AbstractContextManager[object]]
_suited, _tensors, _made = ngp_config._levels, NGPConfig.tensors, NGPConfig._with_entries
CLIPS = {"bunny": ("bigbuckbunny.mp4", (320, 176)), "carphone": ("carphone_pristine.mp4", None)}


@dataclass(frozen=True, slots=True)
class Variant:
    """Something that is done in another way.

    Attributes:
        what: In words.
        patch: Does it that way while it is entered.
    """

    what: str
    patch: Patch = nullcontext


def _other_levels(levels: Callable[[tuple[int, int], int, int], Levels]) -> Patch:
    return lambda: mock.patch.object(ngp_config, "_levels", levels)


def _unhashed(size: tuple[int, int], frames: int, count: int) -> Levels:
    """Without the level that has a vertex for every point."""
    levels = _suited(size, frames, count)
    return levels[:-1] or levels


def _cubes(size: tuple[int, int], frames: int, count: int) -> Levels:
    """As fine in time as in space, doubling from level to level, the finer ones hashed."""
    scales = [2**-k for k in range(4, -1, -1)]
    height, width = size
    return tuple(
        (ceil(width * scale), ceil(height * scale), max(2, ceil(frames * scale)))
        for scale in scales
    )


def _alone() -> AbstractContextManager[object]:
    """Every grid's values coded by themselves, not as differences to the grid before in time."""

    def tensors(config: NGPConfig) -> tuple[TensorSpec, ...]:
        return tuple(replace(spec, latent=False) for spec in _tensors(config))

    return mock.patch.object(NGPConfig, "tensors", tensors)


def _features(count: int) -> Patch:
    def made(
        _: type[NGPConfig], entries: int, target: NetworkTarget, *, width: int, features: int
    ) -> NGPConfig:
        return _made(entries, target, width=width, features=count)

    return lambda: mock.patch.object(NGPConfig, "_with_entries", classmethod(made))


VARIANTS = (
    Variant("as it is"),
    Variant("no hashed level", _other_levels(_unhashed)),
    Variant("levels as fine in time as in space", _other_levels(_cubes)),
    Variant("grids coded one by one", _alone),
    Variant("2 features", _features(2)),
    Variant("8 features", _features(8)),
    Variant("32 hidden units", lambda: mock.patch.object(ngp_config, "_WIDTHS", ((32, 1 << 62),))),
)


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("ngp_parts", __doc__)
    parser.add_argument("--clips", nargs="+", choices=list(CLIPS), default=list(CLIPS))
    parser.add_argument("--frames", type=int, default=66)
    parser.add_argument("--bpp", type=float, default=0.08)
    parser.add_argument("--epochs", type=int, default=60)
    options = parser.parse_args(argv)
    found = {
        variant.what: {name: _point(variant, name, options) for name in options.clips}
        for variant in VARIANTS
    }
    base = found[VARIANTS[0].what]
    rows = []
    for what, points in found.items():
        changes = [points[name]["psnr_yuv"] - base[name]["psnr_yuv"] for name in points]
        cells = [
            f"{point['psnr_yuv']:.2f} at {point['bytes']} in {point['encode_seconds']:.0f} s"
            for point in points.values()
        ]
        rows.append((what, *cells, f"{np.mean(changes):+.2f}"))
    table = record.ResultTable(
        ("instead", *options.clips, "mean change, dB"),
        tuple(rows),
        f"YUV PSNR in dB at bytes; {options.frames} frames, {options.epochs} epochs, asked for "
        f"{options.bpp:g} bpp.",
    )
    record.write(options.out, {"points": found}, {"parts": table})


def _point(variant: Variant, name: str, options: Any) -> dict[str, Any]:
    file, size = CLIPS[name]
    source, target = clip(file), record.FILES / "ngp_parts.nvc"
    target.parent.mkdir(parents=True, exist_ok=True)
    frames = slice(0, options.frames)
    config = nvcodec.EncoderConfig(
        model="ngp", bpp=options.bpp, epochs=options.epochs, resize=size, frames=frames, audio=False
    )
    with variant.patch():
        report = nvcodec.encode(source, target, config, overwrite=True, measure=False)
        # In this process, as another one would not know the variant.
        quality = nvcodec.compare(source, target, frames=frames).quality
    point = {
        "bytes": report.bytes,
        "parameters": report.parameters,
        "psnr_yuv": quality.psnr_yuv,
        "encode_seconds": report.encode_seconds,
    }
    print(f"{variant.what}, {name}: {point}", flush=True)
    return point


if __name__ == "__main__":
    main()
