"""Inpainting and denoising by the fit, against classical methods: luma PSNR with the clean pictures.

The masks and the noises are those of `benchmarks.ablations.restoration_tasks`. Hidden pixels are
left out of the fit by the encoder's mask; noisy pictures are encoded as they are. The truth is the
clean source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import cv2
import numpy as np

import nvcodec
from benchmarks.ablations import restoration_figure
from benchmarks.ablations.classical_restoration import (
    Fill,
    apply_per_frame,
    mean_filled,
    median,
    navier_stokes,
    nearest_in_time,
    non_local_means,
    telea,
)
from benchmarks.ablations.restoration_tasks import (
    RestorationTask,
    add_noises,
    hide,
    make_masks,
    read_source,
)
from benchmarks.harness import record
from nvcodec.media import BoolArray, Frames, UInt8Array
from nvcodec.metrics import psnr
from nvcodec.video import open_sink
from nvcodec.video.sources.mask_filling import filled, valid_chroma

MODELS = ("latentgrid", "hnerv", "hnerv+boost", "nerv", "nervpp", "nirvana")
_STRENGTHS = (5, 10, 15, 20, 30, 40)  # Strengths of non-local means.

# Results by method, and pictures with their titles.
Outcome = tuple[dict[str, dict[str, Any]], list[tuple[str, UInt8Array]]]


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("restoration", __doc__)
    parser.add_argument("--clips", type=Path, nargs="+", help="videos instead of Big Buck Bunny")
    parser.add_argument(
        "--size", type=record.size_argument, default=(320, 160), metavar="WxH", help="frame size"
    )
    parser.add_argument("--frames", type=int, default=32, help="frames of each video")
    parser.add_argument("--epochs", type=int, default=20, help="epochs of a fit")
    parser.add_argument("--bpp", type=float, default=0.15, help="target size in bits per pixel")
    parser.add_argument(
        "--models", nargs="+", choices=MODELS, default=list(MODELS), help="models to measure"
    )
    parser.add_argument(
        "--figures",
        type=Path,
        default=record.ROOT / "docs" / "figures",
        help="folder of the figures",
    )
    options = parser.parse_args(argv)
    results: dict[str, Any] = {}
    tables: dict[str, record.ResultTable] = {}
    for path in options.clips or [None]:
        name = "bunny" if path is None else path.stem
        clean, info = read_source(path, options.size, options.frames)
        prefix = "" if options.clips is None else f"{name}_"
        results_of_clip: dict[str, Any] = {"masks": {}, "noises": {}}
        panels: list[tuple[str, UInt8Array]] = []
        for mask, valid in make_masks(clean).items():
            task = RestorationTask(f"{name}_{mask}", clean, hide(clean, valid), info, valid)
            results_of_clip["masks"][mask], panels_of_task = _measure_inpainting(task, options)
            tables[prefix + mask] = _mask_table(results_of_clip["masks"][mask], valid, options)
            panels = panels_of_task  # The figure shows the last mask.
        noises = {
            noise: RestorationTask(f"{name}_{noise}", clean, given, info)
            for noise, given in add_noises(clean, info.colour).items()
        }
        for noise, task in noises.items():
            results_of_clip["noises"][noise], panels_of_task = _measure_denoising(task, options)
            if noise == "gaussian":
                panels += panels_of_task
        tables[f"{prefix}noise"] = _noise_table(results_of_clip["noises"], options)
        results[name] = results_of_clip
        restoration_figure.draw(panels, options.figures / f"{options.out.stem}_{name}.jpg")
    record.write(options.out, results, tables)


def _measure_inpainting(task: RestorationTask, options: Any) -> Outcome:
    """Fill the hidden pixels by every method and measure the PSNR."""
    assert task.valid is not None
    fills: dict[str, Fill] = {
        "mean of the known pixels": apply_per_frame(mean_filled),
        "smooth surface": apply_per_frame(filled),
        "OpenCV inpaint, Telea": apply_per_frame(telea),
        "OpenCV inpaint, Navier-Stokes": apply_per_frame(navier_stokes),
        "nearest in time, else Telea": nearest_in_time,
    }
    frames_and_facts: dict[str, tuple[Frames, dict[str, Any]]] = {
        name: (_apply(task.given, fill, task.valid), {}) for name, fill in fills.items()
    }
    frames_and_facts |= {model: _encode(task, model, options) for model in options.models}
    results_by_method = {}
    for name, (frames, facts) in frames_and_facts.items():
        results_by_method[name] = {
            **facts,
            "hidden": _luma_psnr(task.truth, frames, ~task.valid),
            "known": None if name in fills else _luma_psnr(task.truth, frames, task.valid),
            "whole": _luma_psnr(task.truth, frames, np.ones_like(task.valid)),
        }
        print(task.name, name, results_by_method[name], flush=True)
    shown = ("nearest in time, else Telea", *options.models)
    restored = {name: frames_and_facts[name][0] for name in shown}
    return results_by_method, restoration_figure.panels(task, "hidden", restored)


def _measure_denoising(task: RestorationTask, options: Any) -> Outcome:
    """Denoise by every method and measure the PSNR."""
    frames_and_facts: dict[str, tuple[Frames, dict[str, Any]]] = {
        "the noisy pictures": (task.given, {}),
        "median, 3x3": (_apply(task.given, lambda p, _: median(p, 3)), {}),
        "median, 5x5": (_apply(task.given, lambda p, _: median(p, 5)), {}),
    }
    everything = np.ones_like(task.truth.y, np.bool_)
    by_strength = {
        strength: _apply(task.given, lambda p, _, h=strength: non_local_means(p, h))
        for strength in _STRENGTHS
    }
    best = max(
        by_strength, key=lambda strength: _luma_psnr(task.truth, by_strength[strength], everything)
    )
    name = "OpenCV non-local means"
    frames_and_facts[name] = (by_strength[best], {"strength": best})
    frames_and_facts |= {model: _encode(task, model, options) for model in options.models}
    results_by_method = {}
    for name, (frames, facts) in frames_and_facts.items():
        results_by_method[name] = {**facts, "psnr": _luma_psnr(task.truth, frames, everything)}
        print(task.name, name, results_by_method[name], flush=True)
    shown = ("OpenCV non-local means", *options.models)
    restored = {name: frames_and_facts[name][0] for name in shown}
    return results_by_method, restoration_figure.panels(task, "noisy", restored)


def _encode(task: RestorationTask, model: str, options: Any) -> tuple[Frames, dict[str, Any]]:
    """Encode the input of a task; return the decoded frames, and bytes and parameters."""
    folder = record.FILES / "restoration" / task.name
    folder.mkdir(parents=True, exist_ok=True)
    source, file = folder / "given.mkv", folder / f"{model}.nvc"
    with open_sink(source, task.info, encoder="ffv1", overwrite=True) as sink:
        sink.write(task.given)
    mask = None
    if task.valid is not None:
        mask = folder / "mask"
        mask.mkdir(exist_ok=True)
        for t, valid in enumerate(task.valid):
            cv2.imwrite(str(mask / f"{t:04}.png"), valid.astype(np.uint8) * 255)
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


def _luma_psnr(truth: Frames, restored: Frames, pixels: BoolArray) -> float:
    """Return the luma PSNR over a mask of pixels of each frame in dB, mean over frames."""
    values = [
        psnr(truth.y[t][pixels[t]][None], restored.y[t][pixels[t]][None])[0]
        for t in range(len(truth))
    ]
    return fmean(values)


def _apply(
    given: Frames,
    change: Fill,
    valid: BoolArray | None = None,
) -> Frames:
    """Apply a function to all planes of all frames.

    Args:
        given: The frames.
        change: Function of planes and the mask of their valid samples.
        valid: Mask of valid pixels, shape (T, H, W); None if all are.
    """
    luma = np.ones_like(given.y, np.bool_) if valid is None else valid
    chroma = valid_chroma(luma)
    return replace(
        given, y=change(given.y, luma), u=change(given.u, chroma), v=change(given.v, chroma)
    )


def _mask_table(
    results_by_method: Mapping[str, Mapping[str, Any]], valid: BoolArray, options: Any
) -> record.ResultTable:
    def decibels(value: float | None) -> str:
        return "as given" if value is None else f"{value:.2f}"

    rows = [
        (
            name,
            *(str(row.get(fact, "")) for fact in ("bytes", "parameters")),
            *(decibels(row[part]) for part in ("hidden", "known", "whole")),
        )
        for name, row in results_by_method.items()
    ]
    columns = ("method", "bytes", "stored values", "hidden, dB", "known, dB", "whole, dB")
    note = f"{_conditions(options)} Hidden: {100 * (1 - valid.mean()):.1f} % of the pixels."
    return record.ResultTable(columns, tuple(rows), note)


def _noise_table(
    results_by_noise: Mapping[str, Mapping[str, Mapping[str, Any]]], options: Any
) -> record.ResultTable:
    first = next(iter(results_by_noise.values()))
    rows = [
        (
            name,
            *(str(results[name].get("bytes", "")) for results in results_by_noise.values()),
            *(f"{results[name]['psnr']:.2f}" for results in results_by_noise.values()),
        )
        for name in first
    ]
    columns = (
        "method",
        *(f"bytes, {noise}" for noise in results_by_noise),
        *(f"{noise}, dB" for noise in results_by_noise),
    )
    strengths = " and ".join(
        str(results["OpenCV non-local means"]["strength"]) for results in results_by_noise.values()
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


if __name__ == "__main__":
    main()
