"""PSNR of `ngp` at equal bytes with one choice changed, to tell what each choice is worth.

Every ablation is an encode of its own, and its quality is that of the file.
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
from nvcodec.models.ngp import config
from nvcodec.models.ngp.config import NGPConfig

Levels = tuple[tuple[int, int, int], ...]
Patch = Callable[[], AbstractContextManager[object]]
_original_levels, _original_tensors = config._levels, NGPConfig.tensors
_made = NGPConfig._with_entries
CLIPS = {"bunny": ("bigbuckbunny.mp4", (320, 176)), "carphone": ("carphone_pristine.mp4", None)}


@dataclass(frozen=True, slots=True)
class NGPAblation:
    """An encode that differs from the default in one thing.

    Attributes:
        what: Name of the row.
        patch: Context in which the encode runs, which changes the code.
    """

    what: str
    patch: Patch = nullcontext


def _other_levels(levels: Callable[[tuple[int, int], int, int], Levels]) -> Patch:
    """Replace the levels of the hash grid."""
    return lambda: mock.patch.object(config, "_levels", levels)


def _unhashed(size: tuple[int, int], frames: int, count: int) -> Levels:
    """Return the levels of the hash grid without the one that has a vertex for every sample."""
    levels = _original_levels(size, frames, count)
    return levels[:-1] or levels


def _cubes(size: tuple[int, int], frames: int, count: int) -> Levels:
    """Return levels as fine in time as in space, doubling from level to level, the finer hashed."""
    scales = [2**-k for k in range(4, -1, -1)]
    height, width = size
    return tuple(
        (ceil(width * scale), ceil(height * scale), max(2, ceil(frames * scale)))
        for scale in scales
    )


def _alone() -> AbstractContextManager[object]:
    """Code the values of every grid by themselves, not as differences to the previous time."""

    def tensors(self: NGPConfig) -> tuple[TensorSpec, ...]:
        return tuple(replace(spec, latent=False) for spec in _original_tensors(self))

    return mock.patch.object(NGPConfig, "tensors", tensors)


def _features(count: int) -> Patch:
    """Set the number of features of a vertex."""

    def made(
        _: type[NGPConfig], entries: int, target: NetworkTarget, *, width: int, features: int
    ) -> NGPConfig:
        return _made(entries, target, width=width, features=count)

    return lambda: mock.patch.object(NGPConfig, "_with_entries", classmethod(made))


ABLATIONS = (
    NGPAblation("as it is"),
    NGPAblation("no hashed level", _other_levels(_unhashed)),
    NGPAblation("levels as fine in time as in space", _other_levels(_cubes)),
    NGPAblation("grids coded one by one", _alone),
    NGPAblation("2 features", _features(2)),
    NGPAblation("8 features", _features(8)),
    NGPAblation("32 hidden units", lambda: mock.patch.object(config, "_WIDTHS", ((32, 1 << 62),))),
)


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("ngp_parts", __doc__)
    parser.add_argument(
        "--clips", nargs="+", choices=list(CLIPS), default=list(CLIPS), help="clips to measure"
    )
    parser.add_argument("--frames", type=int, default=66, help="frames of each clip")
    parser.add_argument("--bpp", type=float, default=0.08, help="target size in bits per pixel")
    parser.add_argument("--epochs", type=int, default=60, help="epochs of a fit")
    options = parser.parse_args(argv)
    results = {
        ablation.what: {name: _point(ablation, name, options) for name in options.clips}
        for ablation in ABLATIONS
    }
    reference = results[ABLATIONS[0].what]
    rows = []
    for what, points in results.items():
        changes = [points[name]["psnr_yuv"] - reference[name]["psnr_yuv"] for name in points]
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
    record.write(options.out, {"points": results}, {"parts": table})


def _point(ablation: NGPAblation, name: str, options: Any) -> dict[str, Any]:
    """Encode a clip and return bytes, PSNR and time."""
    file, size = CLIPS[name]
    source, target = clip(file), record.FILES / "ngp_parts.nvc"
    target.parent.mkdir(parents=True, exist_ok=True)
    frames = slice(0, options.frames)
    encoder_config = nvcodec.EncoderConfig(
        model="ngp", bpp=options.bpp, epochs=options.epochs, resize=size, frames=frames, audio=False
    )
    with ablation.patch():
        report = nvcodec.encode(source, target, encoder_config, overwrite=True, measure=False)
        # Measured in this process, since another one would run the unchanged code.
        quality = nvcodec.compare(source, target, frames=frames).quality
    point = {
        "bytes": report.bytes,
        "parameters": report.parameters,
        "psnr_yuv": quality.psnr_yuv,
        "encode_seconds": report.encode_seconds,
    }
    print(f"{ablation.what}, {name}: {point}", flush=True)
    return point


if __name__ == "__main__":
    main()
