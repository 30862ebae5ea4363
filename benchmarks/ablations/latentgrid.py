"""What every part of `latentgrid` is worth: the same clips without it, as a BD-rate.

Each variant changes one thing, and is fitted at three steps in two passes. The rate is that of the
payload, the quality YUV PSNR; positive means that without the part more bytes are needed.
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
from nvcodec.models.latentgrid.step_sizes import base_of
from nvcodec.models.latentgrid.subbands import GridLayout
from nvcodec.reconstruction.latentgrid_decoder import picture_planes, source_picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A way to fit that differs in one thing.

    Attributes:
        what: In words.
        effort: Settings that differ.
        layout: Fields of the configuration that differ.
        learning: Whether context networks are fitted.
        patch: What else is changed while it runs.
    """

    what: str
    effort: dict[str, Any] = field(default_factory=dict)
    layout: dict[str, int] = field(default_factory=dict)
    learning: bool = True
    patch: Callable[[], AbstractContextManager[object]] = nullcontext


@contextmanager
def _without_inputs(rows: Sequence[int]) -> Iterator[None]:
    """Context networks that do not see some of their inputs; they are fitted to that."""
    first, second = context_model.Grids._inputs, context_model._add_first_pass

    def inputs(self: context_model.Grids, *given: Any) -> Float32Array:
        found = first(self, *given)
        found[list(rows)] = 0
        return found

    def added(found: Float32Array, *given: Any) -> None:
        second(found, *given)
        found[list(rows)] = 0

    with (
        mock.patch.object(context_model.Grids, "_inputs", inputs),
        mock.patch.object(context_model, "_add_first_pass", added),
    ):
        yield


@contextmanager
def _without_below() -> Iterator[None]:
    """Symbols that are chosen for their own sake only."""

    def gains(layout: GridLayout, *_: Any) -> list[None]:
        return [None] * len(layout.bands)

    with mock.patch.object(rdoq, "_gains_below", gains):
        yield


VARIANTS = (
    Variant(what="as it is"),
    Variant(what="motion: no gradient descent", effort={"motion_steps": 0}),
    Variant(
        what="motion: nothing is left out on trial",
        effort={"trials": 0},
    ),
    Variant(what="motion: all channels are left out together or none", effort={"trials": 1}),
    Variant(what="motion: bits cost a tenth", effort={"motion_weight": 0.02}),
    Variant(what="motion: cells of 16 samples", layout={"cell": 16}),
    Variant(what="latents: the nearest integers", effort={"weight": 0.0}),
    Variant(what="latents: what is below them does not count", patch=_without_below),
    Variant(what="latents: bits cost half", effort={"weight": 0.067}),
    Variant(what="steps: the same in every frame", effort={"offsets": (0,) * 8}),
    Variant(what="steps: half as steep", effort={"offsets": (-4, -3, 0, 2, 4, 6, 8, 8)}),
    Variant(what="anchors every 8 frames", layout={"group": 8}),
    Variant(what="anchors every 16 frames", layout={"group": 16}),
    Variant(what="anchors every 64 frames", layout={"group": 64}),
    Variant(what="contexts: default networks only", learning=False),
    Variant(what="contexts: no coarser scale", patch=lambda: _without_inputs((0, 1))),
    Variant(what="contexts: no other bands", patch=lambda: _without_inputs((2, 3))),
    Variant(what="contexts: no chessboard", patch=lambda: _without_inputs((4, 5, 10, 11))),
    Variant(what="contexts: no other frames", patch=lambda: _without_inputs((6, 7))),
)


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("latentgrid_parts", __doc__)
    parser.add_argument("--clips", nargs="+", choices=list(SMALL), default=list(SMALL))
    parser.add_argument("--frames", type=int, default=65)
    parser.add_argument("--steps", type=float, nargs="+", default=[14.0, 22.0, 34.0])
    parser.add_argument("--motion-steps", type=int, default=20)
    options = parser.parse_args(argv)
    sources = {
        name: read(clip(SMALL[name][0]), frames=slice(0, options.frames), resize=SMALL[name][1])
        for name in options.clips
    }
    points: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for variant in VARIANTS:
        points[variant.what] = {}
        for name, source in sources.items():
            began = time.monotonic()
            points[variant.what][name] = [
                _point(variant, *source, step, options.motion_steps) for step in options.steps
            ]
            print(f"{variant.what}, {name}: {time.monotonic() - began:.0f} s", flush=True)
    base = points[VARIANTS[0].what]
    changes = {
        what: {name: bd_rate(sorted(base[name]), sorted(curve)) for name, curve in curves.items()}
        for what, curves in points.items()
    }
    rows = tuple(
        (what, *(f"{each[name]:+.1f}" for name in sources), f"{np.mean(list(each.values())):+.1f}")
        for what, each in changes.items()
        if what != VARIANTS[0].what
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
    variant: Variant, frames: Frames, info: VideoInfo, step: float, motion_steps: int
) -> tuple[float, float]:
    """Bytes and YUV PSNR, dB."""
    effort = replace(Effort(motion_steps=motion_steps), **variant.effort)
    _, height, width = frames.y.shape
    config = LatentGridConfig.suited(
        size=(height, width), frames=len(frames), colour=ColourMode.YUV420
    )
    config = replace(config, **variant.layout)
    segment = SegmentFit(source_picture(frames, config, info.colour), config, seed=0)
    steps = effort.steps(base_of(step), base_of(step))
    with variant.patch():
        outcome = segment.run(steps, effort, motion_steps=effort.motion_steps)
        if variant.learning:
            segment.learn(outcome, effort.context_steps)
        outcome = segment.run(steps, effort, motion_steps=effort.motion_steps // 2)
    planes = picture_planes(outcome.decoded, config, info.colour)
    y, u, v = (
        float(np.mean(psnr(known, made)))
        for known, made in zip((frames.y, frames.u, frames.v), planes, strict=True)
    )
    return float(len(outcome.body)), (6 * y + u + v) / 8


if __name__ == "__main__":
    main()
