"""BD-rate of `latentgrid` without each of its parts, to tell what each part is worth.

Each ablation changes one thing, and is fitted at three quantisation steps in two passes. The rate
is that of the payload, the quality is YUV PSNR; a positive BD-rate means that more bytes are needed
without the part.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.harness import record
from benchmarks.harness.clips import SMALL, clip, read
from nvcodec.entropy.latents import context_model
from nvcodec.fitting.latentgrid import rdoq
from nvcodec.fitting.latentgrid.effort import Effort
from nvcodec.fitting.latentgrid.encode_pass import SegmentFit
from nvcodec.media import ColourMode, Float32Array, Frames, VideoInfo
from nvcodec.metrics import bd_rate, psnr
from nvcodec.models.latentgrid.config import LatentGridConfig
from nvcodec.models.latentgrid.step_sizes import base_index
from nvcodec.models.latentgrid.subbands import SubbandLayout
from nvcodec.reconstruction.latentgrid_decoder import picture_planes, source_picture


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentGridAblation:
    """A fit that differs from the default in one thing.

    Attributes:
        what: Name of the row.
        effort: Fields of `Effort` that differ.
        layout: Fields of the model's configuration that differ.
        learning: Whether context networks are fitted.
        patch: Context in which the fit runs, which changes the code.
    """

    what: str
    effort: dict[str, Any] = field(default_factory=dict)
    layout: dict[str, int] = field(default_factory=dict)
    learning: bool = True
    patch: Callable[[], AbstractContextManager[object]] = nullcontext


@contextmanager
def _without_inputs(rows: Sequence[int]) -> Iterator[None]:
    """Set some inputs of the context networks to zero, in their fit and in use.

    Args:
        rows: Indices of the inputs.
    """
    original_inputs, original_add = (
        context_model.LatentSymbols._inputs,
        context_model.add_first_pass,
    )

    def inputs(self: context_model.LatentSymbols, *arguments: Any) -> Float32Array:
        values = original_inputs(self, *arguments)
        values[list(rows)] = 0
        return values

    def add_first_pass(values: Float32Array, *arguments: Any) -> None:
        original_add(values, *arguments)
        values[list(rows)] = 0

    with (
        mock.patch.object(context_model.LatentSymbols, "_inputs", inputs),
        mock.patch.object(context_model, "add_first_pass", add_first_pass),
    ):
        yield


@contextmanager
def _without_below() -> Iterator[None]:
    """Quantise every band without regard to the temporal layers that are predicted from it."""

    def gains(layout: SubbandLayout, *_: Any) -> list[None]:
        return [None] * len(layout.bands)

    with mock.patch.object(rdoq, "_gains_below", gains):
        yield


ABLATIONS = (
    LatentGridAblation(what="as it is"),
    LatentGridAblation(what="motion: no gradient descent", effort={"motion_steps": 0}),
    LatentGridAblation(
        what="motion: nothing is left out on trial",
        effort={"trials": 0},
    ),
    LatentGridAblation(
        what="motion: all channels are left out together or none", effort={"trials": 1}
    ),
    LatentGridAblation(what="motion: bits cost a tenth", effort={"motion_lagrangian": 0.02}),
    LatentGridAblation(what="motion: cells of 16 samples", layout={"cell": 16}),
    LatentGridAblation(what="latents: the nearest integers", effort={"lagrangian": 0.0}),
    LatentGridAblation(what="latents: what is below them does not count", patch=_without_below),
    LatentGridAblation(what="latents: bits cost half", effort={"lagrangian": 0.067}),
    LatentGridAblation(what="steps: the same in every frame", effort={"offsets": (0,) * 8}),
    LatentGridAblation(what="steps: half as steep", effort={"offsets": (-4, -3, 0, 2, 4, 6, 8, 8)}),
    LatentGridAblation(what="anchors every 8 frames", layout={"group": 8}),
    LatentGridAblation(what="anchors every 16 frames", layout={"group": 16}),
    LatentGridAblation(what="anchors every 64 frames", layout={"group": 64}),
    LatentGridAblation(what="contexts: default networks only", learning=False),
    LatentGridAblation(what="contexts: no coarser scale", patch=lambda: _without_inputs((0, 1))),
    LatentGridAblation(what="contexts: no other bands", patch=lambda: _without_inputs((2, 3))),
    LatentGridAblation(
        what="contexts: no chessboard", patch=lambda: _without_inputs((4, 5, 10, 11))
    ),
    LatentGridAblation(what="contexts: no other frames", patch=lambda: _without_inputs((6, 7))),
)


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("latentgrid_parts", __doc__)
    parser.add_argument(
        "--clips", nargs="+", choices=list(SMALL), default=list(SMALL), help="clips to measure"
    )
    parser.add_argument("--frames", type=int, default=65, help="frames of each clip")
    parser.add_argument(
        "--steps",
        type=float,
        nargs="+",
        default=[14.0, 22.0, 34.0],
        help="quantisation steps of luma",
    )
    parser.add_argument(
        "--motion-steps", type=int, default=20, help="optimiser steps on the motion of a layer"
    )
    options = parser.parse_args(argv)
    sources = {
        name: read(clip(SMALL[name][0]), frames=slice(0, options.frames), resize=SMALL[name][1])
        for name in options.clips
    }
    points: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for ablation in ABLATIONS:
        points[ablation.what] = {}
        for name, source in sources.items():
            start = time.monotonic()
            points[ablation.what][name] = [
                _point(ablation, *source, step, options.motion_steps) for step in options.steps
            ]
            print(f"{ablation.what}, {name}: {time.monotonic() - start:.0f} s", flush=True)
    reference = points[ABLATIONS[0].what]
    changes = {
        what: {
            name: bd_rate(sorted(reference[name]), sorted(curve)) for name, curve in curves.items()
        }
        for what, curves in points.items()
    }
    rows = tuple(
        (what, *(f"{each[name]:+.1f}" for name in sources), f"{np.mean(list(each.values())):+.1f}")
        for what, each in changes.items()
        if what != ABLATIONS[0].what
    )
    table = record.ResultTable(
        ("instead", *sources, "mean"),
        rows,
        f"BD-rate (YUV PSNR) in per cent against latentgrid as it is; {options.frames} frames of "
        + ", ".join(f"{name} {s[1].width}x{s[1].height}" for name, s in sources.items())
        + f", {options.motion_steps} motion steps.",
    )
    record.write(options.out, {"points": points, "bd_rate": changes}, {"parts": table})


def _point(
    ablation: LatentGridAblation, frames: Frames, info: VideoInfo, step: float, motion_steps: int
) -> tuple[float, float]:
    """Fit a clip at a quantisation step and return bytes and YUV PSNR in dB.

    Args:
        ablation: The ablation.
        frames: Frames of the clip.
        info: Size and colour of the clip.
        step: Quantisation step of luma.
        motion_steps: Optimiser steps on the motion of a temporal layer.
    """
    effort = replace(Effort(motion_steps=motion_steps), **ablation.effort)
    _, height, width = frames.y.shape
    config = LatentGridConfig.suited(
        size=(height, width), frames=len(frames), colour=ColourMode.YUV420
    )
    config = replace(config, **ablation.layout)
    segment = SegmentFit(source_picture(frames, config, info.colour), config, seed=0)
    steps = effort.steps(base_index(step), base_index(step))
    with ablation.patch():
        outcome = segment.run(steps, effort, motion_steps=effort.motion_steps)
        if ablation.learning:
            segment.learn(outcome, effort.context_steps)
        outcome = segment.run(steps, effort, motion_steps=effort.motion_steps // 2)
    planes = picture_planes(outcome.decoded, config, info.colour)
    y, u, v = (
        float(np.mean(psnr(source, decoded)))
        for source, decoded in zip((frames.y, frames.u, frames.v), planes, strict=True)
    )
    return float(len(outcome.body)), (6 * y + u + v) / 8


if __name__ == "__main__":
    main()
