"""Filling in and denoising by the fit, against classical means: luma PSNR of what was not shown.

Two masks. `boxes` is that of HNeRV (section 4; "disperse" in Boosting NeRV): five boxes of width 50
in 1280x640, scaled to the size at hand, always at the same place; so no frame shows what is there.
`moving` are the same boxes going to the right by two pixels a frame, so that other frames do.

Two kinds of noise, on RGB before it becomes 4:2:0: Gaussian of deviation 25 of 255, and a tenth of the
pixels black or white. Noisy pictures are simply encoded; the truth is the clean source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from statistics import fmean
from typing import Any

import cv2
import numpy as np

import nvcodec
from benchmarks.ablations.classical_restoration import (
    Fill,
    each,
    mean_filled,
    median,
    navier_stokes,
    nearest_in_time,
    non_local_means,
    telea,
)
from benchmarks.harness import record
from benchmarks.harness.clips import bunny, read
from nvcodec.media import BoolArray, Colour, Frames, UInt8Array, VideoInfo
from nvcodec.metrics import psnr
from nvcodec.video import open_sink, rgb, yuv420
from nvcodec.video.mask_filling import filled, valid_chroma

MODELS = ("latentgrid", "hnerv", "hnerv+boost", "nerv", "nervpp", "nirvana")
_BOX = 50 / 1280  # of the width
_CENTRES = ((1 / 2, 1 / 2), (1 / 4, 1 / 4), (1 / 4, 3 / 4), (3 / 4, 1 / 4), (3 / 4, 3 / 4))
_SPEED = 2  # pixels a frame
_SIGMA, _IMPULSES = 25, 0.1
# Of the crop of Big Buck Bunny: what nvcodec takes for RGB pictures of this size.
_BT601, _RATE = Colour(primaries=1, transfer=13, matrix=6), Fraction(25)
_STRENGTHS = (5, 10, 15, 20, 30, 40)  # of non-local means


@dataclass(frozen=True, slots=True)
class Task:
    """Something to restore.

    Attributes:
        name: Of it, for files.
        truth: The clean pictures.
        given: What a method gets.
        info: Of both.
        known: Which pixels of what is given count; None if all do.
    """

    name: str
    truth: Frames
    given: Frames
    info: VideoInfo
    known: BoolArray | None = None


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("restoration", __doc__)
    parser.add_argument("--clips", type=Path, nargs="+", help="videos instead of Big Buck Bunny")
    parser.add_argument("--size", type=record.size_argument, default=(320, 160))
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--bpp", type=float, default=0.15)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--figures", type=Path, default=record.ROOT / "docs" / "figures")
    options = parser.parse_args(argv)
    results: dict[str, Any] = {}
    tables: dict[str, record.ResultTable] = {}
    for path in options.clips or [None]:
        name = "bunny" if path is None else path.stem
        clean, info = _source(path, options)
        prefix = "" if options.clips is None else f"{name}_"
        found: dict[str, Any] = {"masks": {}, "noises": {}}
        panels: list[tuple[str, UInt8Array]] = []
        for mask, known in _masks(clean).items():
            task = Task(f"{name}_{mask}", clean, _hidden(clean, known), info, known)
            found["masks"][mask], shown = _filled_in(task, options)
            tables[prefix + mask] = _mask_table(found["masks"][mask], known, options)
            panels = shown  # of the last one
        noises = {
            noise: Task(f"{name}_{noise}", clean, given, info)
            for noise, given in _noises(clean, info.colour).items()
        }
        for noise, task in noises.items():
            found["noises"][noise], shown = _denoised(task, options)
            if noise == "gaussian":
                panels += shown
        tables[f"{prefix}noise"] = _noise_table(found["noises"], options)
        results[name] = found
        _draw(panels, options.figures / f"{options.out.stem}_{name}.jpg")
    record.write(options.out, results, tables)


def _source(path: Path | None, options: Any) -> tuple[Frames, VideoInfo]:
    if path is not None:
        return read(path, frames=slice(0, options.frames), resize=options.size)
    width, height = options.size
    info = VideoInfo(
        width=width, height=height, time_base=1 / _RATE, frame_rate=_RATE, colour=_BT601
    )
    pictures = bunny(options.frames, options.size).permute(0, 2, 3, 1).contiguous().numpy()
    y, u, v = yuv420(pictures, _BT601)
    ticks = np.arange(len(y))
    return Frames(y=y, u=u, v=v, pts=ticks, durations=np.ones_like(ticks)), info


def _masks(clean: Frames) -> dict[str, BoolArray]:
    count, height, width = clean.y.shape
    half = round(_BOX * width / 2)
    still = np.ones((height, width), np.bool_)
    for down, right in _CENTRES:
        y, x = int(down * height), int(right * width)
        still[y - half : y + half, x - half : x + half] = False
    moving = np.stack([np.roll(still, _SPEED * t, axis=1) for t in range(count)])
    return {"boxes": np.repeat(still[None], count, axis=0), "moving": moving}


def _hidden(clean: Frames, known: BoolArray) -> Frames:
    """Black where nothing is known: no method can have seen what was there."""
    chroma = valid_chroma(known)
    return replace(
        clean,
        y=np.where(known, clean.y, 16).astype(np.uint8),
        u=np.where(chroma, clean.u, 128).astype(np.uint8),
        v=np.where(chroma, clean.v, 128).astype(np.uint8),
    )


def _noises(clean: Frames, colour: Colour) -> dict[str, Frames]:
    chance = np.random.default_rng(0)
    pictures = rgb(clean.y, clean.u, clean.v, colour)
    noise = chance.normal(0, _SIGMA, pictures.shape)
    gaussian = np.clip(np.rint(pictures + noise), 0, 255).astype(np.uint8)
    drawn = chance.random(pictures.shape[:3])[..., None]
    impulses = np.where(drawn < _IMPULSES / 2, 0, np.where(drawn < _IMPULSES, 255, pictures))
    found = {}
    for name, noisy in (("gaussian", gaussian), ("impulses", impulses.astype(np.uint8))):
        y, u, v = yuv420(noisy, colour)
        found[name] = replace(clean, y=y, u=u, v=v)
    return found


def _filled_in(
    task: Task, options: Any
) -> tuple[dict[str, dict[str, Any]], list[tuple[str, UInt8Array]]]:
    assert task.known is not None
    fills: dict[str, Fill] = {
        "mean of the known pixels": each(mean_filled),
        "smooth surface": each(filled),
        "OpenCV inpaint, Telea": each(telea),
        "OpenCV inpaint, Navier-Stokes": each(navier_stokes),
        "nearest in time, else Telea": nearest_in_time,
    }
    made = {name: (_with_planes(task.given, fill, task.known), {}) for name, fill in fills.items()}
    made |= {model: _encoded(task, model, options) for model in options.models}
    found = {}
    for name, (frames, facts) in made.items():
        found[name] = {
            **facts,
            "hidden": _luma_psnr(task.truth, frames, ~task.known),
            "known": None if name in fills else _luma_psnr(task.truth, frames, task.known),
            "whole": _luma_psnr(task.truth, frames, np.ones_like(task.known)),
        }
        print(task.name, name, found[name], flush=True)
    shown = ("nearest in time, else Telea", *options.models)
    return found, _panels(task, "hidden", {name: made[name][0] for name in shown})


def _denoised(
    task: Task, options: Any
) -> tuple[dict[str, dict[str, Any]], list[tuple[str, UInt8Array]]]:
    made: dict[str, tuple[Frames, dict[str, Any]]] = {
        "the noisy pictures": (task.given, {}),
        "median, 3x3": (_with_planes(task.given, lambda p, _: median(p, 3)), {}),
        "median, 5x5": (_with_planes(task.given, lambda p, _: median(p, 5)), {}),
    }
    everything = np.ones_like(task.truth.y, np.bool_)
    tried = {
        strength: _with_planes(task.given, lambda p, _, h=strength: non_local_means(p, h))
        for strength in _STRENGTHS
    }
    best = max(tried, key=lambda one: _luma_psnr(task.truth, tried[one], everything))
    name = "OpenCV non-local means"
    made[name] = (tried[best], {"strength": best})
    made |= {model: _encoded(task, model, options) for model in options.models}
    found = {}
    for name, (frames, facts) in made.items():
        found[name] = {**facts, "psnr": _luma_psnr(task.truth, frames, everything)}
        print(task.name, name, found[name], flush=True)
    shown = ("OpenCV non-local means", *options.models)
    return found, _panels(task, "noisy", {name: made[name][0] for name in shown})


def _encoded(task: Task, model: str, options: Any) -> tuple[Frames, dict[str, Any]]:
    """What comes out of a file, and what is in it."""
    folder = record.FILES / "restoration" / task.name
    folder.mkdir(parents=True, exist_ok=True)
    source, file = folder / "given.mkv", folder / f"{model}.nvc"
    with open_sink(source, task.info, encoder="ffv1", overwrite=True) as sink:
        sink.write(task.given)
    mask = None
    if task.known is not None:
        mask = folder / "mask"
        mask.mkdir(exist_ok=True)
        for t, known in enumerate(task.known):
            cv2.imwrite(str(mask / f"{t:04}.png"), known.astype(np.uint8) * 255)
    family, _, boost = model.partition("+")
    config = nvcodec.EncoderConfig(
        model=family,
        boost=bool(boost),
        epochs=options.epochs,
        bpp=options.bpp,
        mask=mask,
        audio=False,
        device="cpu",
    )
    report = nvcodec.encode(source, file, config, measure=False, overwrite=True)
    with nvcodec.open(file) as video:
        frames = video.planes(list(range(len(video))))
    return frames, {"bytes": report.video_bytes, "parameters": report.parameters}


def _luma_psnr(truth: Frames, made: Frames, where: BoolArray) -> float:
    """Over some pixels of each frame, dB, mean over frames."""
    values = [
        psnr(truth.y[t][where[t]][None], made.y[t][where[t]][None])[0] for t in range(len(truth))
    ]
    return fmean(values)


def _with_planes(
    given: Frames,
    change: Fill,
    known: BoolArray | None = None,
) -> Frames:
    """All planes of all frames, changed."""
    luma = np.ones_like(given.y, np.bool_) if known is None else known
    chroma = valid_chroma(luma)
    return replace(
        given, y=change(given.y, luma), u=change(given.u, chroma), v=change(given.v, chroma)
    )


def _mask_table(
    found: Mapping[str, Mapping[str, Any]], known: BoolArray, options: Any
) -> record.ResultTable:
    def decibels(value: float | None) -> str:
        return "as given" if value is None else f"{value:.2f}"

    rows = [
        (
            name,
            *(str(one.get(fact, "")) for fact in ("bytes", "parameters")),
            *(decibels(one[part]) for part in ("hidden", "known", "whole")),
        )
        for name, one in found.items()
    ]
    columns = ("method", "bytes", "stored values", "hidden, dB", "known, dB", "whole, dB")
    note = f"{_conditions(options)} Hidden: {100 * (1 - known.mean()):.1f} % of the pixels."
    return record.ResultTable(columns, tuple(rows), note)


def _noise_table(
    found: Mapping[str, Mapping[str, Mapping[str, Any]]], options: Any
) -> record.ResultTable:
    first = next(iter(found.values()))
    rows = [
        (
            name,
            *(str(one[name].get("bytes", "")) for one in found.values()),
            *(f"{one[name]['psnr']:.2f}" for one in found.values()),
        )
        for name in first
    ]
    columns = ("method", *(f"bytes, {one}" for one in found), *(f"{one}, dB" for one in found))
    strengths = " and ".join(
        str(one["OpenCV non-local means"]["strength"]) for one in found.values()
    )
    note = (
        f"{_conditions(options)} Non-local means over three frames, each at the best of the strengths "
        f"{', '.join(map(str, _STRENGTHS))} by the truth: {strengths}."
    )
    return record.ResultTable(columns, tuple(rows), note)


def _conditions(options: Any) -> str:
    width, height = options.size
    return (
        f"{options.frames} frames of {width}x{height}, {options.epochs} epochs and {options.bpp:g} "
        "bits per pixel for every model."
    )


def _panels(task: Task, given: str, made: Mapping[str, Frames]) -> list[tuple[str, UInt8Array]]:
    """A frame from the middle, as it is, as it is given, and as it was made."""
    t = len(task.truth) // 2
    pictures = {"source": task.truth, given: task.given, **made}
    return [
        (name, rgb(one.y[t : t + 1], one.u[t : t + 1], one.v[t : t + 1], task.info.colour)[0])
        for name, one in pictures.items()
    ]


def _draw(panels: Sequence[tuple[str, UInt8Array]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = 3
    rows = -(-len(panels) // columns)
    figure, axes = pyplot.subplots(
        rows, columns, figsize=(4 * columns, 2.3 * rows), layout="constrained", squeeze=False
    )
    for place in axes.flat:
        place.set_axis_off()
    for place, (name, picture) in zip(axes.flat, panels, strict=False):
        place.imshow(picture)
        place.set_title(name, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80, pil_kwargs={"quality": 85})
    print(f"written: {path}")


if __name__ == "__main__":
    main()
