"""BD-rate of `latentgrid` without each of its parts, to tell what each part is worth.

Each ablation changes one thing, and is fitted at two quantisation steps in two passes. The rate is
that of the payload, the quality is YUV PSNR; a positive BD-rate means that more bytes are needed
without the part. Clips are those of the suite `broad`, in its two halves: settings are chosen on
the one and judged on the other.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from benchmarks.ablations.edited_copy import edited_copy
from benchmarks.ablations.latentgrid_parts import ABLATIONS, LatentGridAblation
from benchmarks.harness import record
from benchmarks.harness.clips import read
from benchmarks.rd.prepared_clips import find_file, prepare
from benchmarks.rd.suites import choose_clips
from nvcodec.fitting.latentgrid.effort import Effort
from nvcodec.fitting.latentgrid.encode_pass import SegmentFit
from nvcodec.fitting.latentgrid.motion_search.work import MotionWork
from nvcodec.media import ColourMode, Frames, VideoInfo
from nvcodec.metrics import bd_rate, psnr
from nvcodec.models.latentgrid.config import LatentGridConfig
from nvcodec.models.latentgrid.step_sizes import base_index
from nvcodec.reconstruction.latentgrid_decoder import (
    LatentGridDecoder,
    picture_planes,
    source_picture,
)

_CLIPS = ("basketballpass", "foreman", "friday", "bmx", "coastguard", "calendar")
Point = dict[str, float]


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("latentgrid_parts", __doc__)
    parser.add_argument("--clips", type=Path, help="folder with the clips")
    parser.add_argument("--only", nargs="+", default=_CLIPS, help="clips of the suite to measure")
    parser.add_argument("--parts", default="", help="measure rows whose name begins like this")
    parser.add_argument("--frames", type=int, default=17, help="frames of each clip")
    parser.add_argument(
        "--steps", type=float, nargs="+", default=[24.0, 40.0], help="quantisation steps of luma"
    )
    parser.add_argument(
        "--work", type=Path, default=record.FILES / "rd", help="folder of the prepared clips"
    )
    parser.add_argument("--row", help="measure one row, and print its points as JSON")
    options = parser.parse_args(argv)
    clips = choose_clips("broad", options.only)
    paths = {}
    for clip in clips:
        file = find_file(clip, options.clips)
        if file is None:
            raise SystemExit(f"{clip.name}: {clip.file} was not found; try --clips FOLDER")
        paths[clip.name] = prepare(clip, file, options.work / "sources").path
    chosen = [
        ablation
        for ablation in ABLATIONS
        if options.row in (None, ablation.what) and ablation.what.startswith(options.parts)
    ]
    if options.row:
        print(json.dumps(_measure(chosen[0], paths, options.frames, options.steps)))
        return
    points = {}
    for ablation in (ABLATIONS[0], *chosen):
        if ablation.what in points:
            continue
        start = time.monotonic()
        points[ablation.what] = (
            _measure_copy(ablation, options)
            if ablation.edits
            else _measure(ablation, paths, options.frames, options.steps)
        )
        print(f"{ablation.what}: {time.monotonic() - start:.0f} s", flush=True)
    halves = {clip.name: clip.half or "" for clip in clips}
    changes = _changes(points, halves)
    results = {"points": points, "halves": halves, "changes": changes}
    record.write(options.out, results, {"parts": _table(changes, halves, options)})


def _measure_copy(ablation: LatentGridAblation, options: Any) -> dict[str, list[Point]]:
    """Measure a row in a copy of the project with its edits."""
    with edited_copy(ablation.edits) as folder:
        command = [
            *(sys.executable, "-m", "benchmarks.ablations.latentgrid", "--row", ablation.what),
            *("--only", *options.only, "--frames", str(options.frames)),
            *("--steps", *map(str, options.steps), "--work", str(options.work.resolve())),
            *(("--clips", str(options.clips.resolve())) if options.clips else ()),
        ]
        environment = {**os.environ, "PYTHONPATH": str(folder)}
        output = subprocess.check_output(command, cwd=folder, env=environment, text=True)
    points: dict[str, list[Point]] = json.loads(output.splitlines()[-1])
    return points


def _measure(
    ablation: LatentGridAblation, paths: Mapping[str, Path], frames: int, steps: Sequence[float]
) -> dict[str, list[Point]]:
    """Return the points of a row for each clip."""
    torch.set_num_threads(1)
    points = {}
    for name, path in paths.items():
        source = read(path, frames=slice(0, frames))
        points[name] = [_point(ablation, *source, step) for step in steps]
    return points


def _point(
    ablation: LatentGridAblation, frames: Frames, info: VideoInfo, step: float
) -> dict[str, float]:
    """Fit a clip at a quantisation step.

    Args:
        ablation: The ablation.
        frames: Frames of the clip.
        info: Size and colour of the clip.
        step: Quantisation step of luma.

    Returns:
        Bytes, bytes of motion, YUV PSNR in dB, seconds of processor time of the fit and of decoding;
        the last is about 0 for patched code, which is not decoded.
    """
    effort = replace(Effort(), **ablation.effort)
    _, height, width = frames.y.shape
    config = LatentGridConfig.suited(
        size=(height, width), frames=len(frames), colour=ColourMode.YUV420
    )
    config = replace(config, **ablation.layout)
    start = time.process_time()
    segment = SegmentFit(source_picture(frames, config, info.colour), config, seed=0)
    steps = effort.steps(base_index(step))
    with ablation.patch():
        outcome = segment.run(steps, effort, motion_work=MotionWork.SEARCH)
        if ablation.learning:
            segment.learn(outcome, effort.context_steps)
        outcome = segment.run(steps, effort, motion_work=MotionWork.REFINE)
    fitted = time.process_time()
    # What is patched, the compiled decoder does not know.
    if ablation.patch is nullcontext:
        decoder = LatentGridDecoder(config, outcome.body, info.colour, torch.device("cpu"))
        decoder.planes(range(len(frames)))
    decoded = time.process_time()
    planes = picture_planes(outcome.decoded, config, info.colour)
    y, u, v = (
        float(np.mean(psnr(source, plane)))
        for source, plane in zip((frames.y, frames.u, frames.v), planes, strict=True)
    )
    return {
        "bytes": float(len(outcome.body)),
        "motion_bytes": outcome.motion_bits / 8,
        "psnr_yuv": (6 * y + u + v) / 8,
        "encode_seconds": fitted - start,
        "decode_seconds": decoded - fitted,
    }


def _changes(
    points: Mapping[str, Mapping[str, Sequence[Point]]], halves: Mapping[str, str]
) -> dict[str, dict[str, float]]:
    """Return BD-rates of every row by clip and half, and ratios of times, to the first row."""
    reference, *others = points
    changes = {}
    for what in others:
        row: dict[str, float] = {}
        for name in halves:
            curves = [
                sorted((point["bytes"], point["psnr_yuv"]) for point in points[each][name])
                for each in (reference, what)
            ]
            row[name] = bd_rate(*curves)
        for half in dict.fromkeys(halves.values()):
            row[half] = fmean(row[name] for name in halves if halves[name] == half)
        for field in ("encode_seconds", "decode_seconds"):
            totals = [
                sum(point[field] for clip in points[each].values() for point in clip)
                for each in (reference, what)
            ]
            row[field] = totals[1] / totals[0]
        changes[what] = row
    return changes


def _table(
    changes: Mapping[str, Mapping[str, float]], halves: Mapping[str, str], options: Any
) -> record.ResultTable:
    names = list(dict.fromkeys(halves.values()))
    rows = tuple(
        (
            what,
            *(f"{row[name]:+.1f}" for name in names),
            min(
                (f"{row[clip]:+.1f} {clip}" for clip in halves),
                key=lambda cell: float(cell.split()[0]),
            ),
            f"{row['encode_seconds']:.2f}",
            f"{row['decode_seconds']:.2f}",
        )
        for what, row in changes.items()
    )
    groups = "; ".join(
        f"{name}: {', '.join(clip for clip, half in halves.items() if half == name)}"
        for name in names
    )
    return record.ResultTable(
        ("instead", *names, "best clip", "time of fitting", "time of decoding"),
        rows,
        f"BD-rate (YUV PSNR) in per cent against latentgrid as it is, mean of each half ({groups}), "
        "and of the clip that gains most or loses least; "
        f"times relative to it. {options.frames} frames.",
    )


if __name__ == "__main__":
    main()
