"""NIRVANA against NeRV at equal numbers of stored values: PSNR over encoding time.

The clip is Big Buck Bunny in native 4:2:0. NeRV has one network for all frames, NIRVANA one for
every four, with as many values in total; NIRVANA's fits have a smaller rate weight, as its files
would be smaller otherwise. Every point is an encode of its own, measured on its file. Frames per
second are those of decoding all frames in order. Times are processor times on one thread: other
programs on the machine disturb them less than elapsed times, and both sides alike.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

import nvcodec
from benchmarks.harness import record
from benchmarks.harness.clips import clip
from nvcodec.allocation import keep_freed_memory
from nvcodec.config import FitConfig
from nvcodec.models.nirvana.config import NirvanaConfig

TARGET_TIME, TARGET_DECODE = 0.1, 6.0


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("nirvana_speed", __doc__)
    parser.add_argument(
        "--size", type=record.size_argument, default=(320, 176), metavar="WxH", help="frame size"
    )
    parser.add_argument("--frames", type=int, default=66, help="frames of the clip")
    parser.add_argument(
        "--parameters", type=int, default=175_000, help="stored values over all frames"
    )
    parser.add_argument(
        "--nerv-epochs", type=int, nargs="+", default=[10, 30, 100], help="epochs of NeRV's points"
    )
    parser.add_argument(
        "--nirvana-epochs",
        type=int,
        nargs="+",
        default=[10, 20, 40, 60, 80, 100],
        help="epochs of NIRVANA's points",
    )
    parser.add_argument(
        "--rate-weight", type=float, default=0.1, help="weight of bits in NIRVANA's fits"
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds of decoding")
    parser.add_argument(
        "--figures",
        type=Path,
        default=record.ROOT / "docs" / "figures",
        help="folder of the figure",
    )
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    keep_freed_memory()  # The command line does the same.
    curves: dict[str, list[dict[str, Any]]] = {"nerv": [], "nirvana": []}
    for epochs in options.nerv_epochs:
        curves["nerv"].append(_point("nerv", options.parameters, epochs, options))
    gop_length = NirvanaConfig.GOP_LENGTH
    assert gop_length is not None
    parameters_per_group = options.parameters * gop_length // options.frames
    for epochs in options.nirvana_epochs:
        curves["nirvana"].append(_point("nirvana", parameters_per_group, epochs, options))
    final = curves["nerv"][-1]
    reached = next(
        (
            point
            for point in curves["nirvana"]
            if point["psnr_yuv"] >= final["psnr_yuv"] and point["bytes"] <= final["bytes"]
        ),
        None,
    )
    time_share = reached and reached["cpu_seconds"] / final["cpu_seconds"]
    bytes_share = reached and reached["bytes"] / final["bytes"]
    # The network's size does not depend on the epochs, so the last point stands for the speed.
    rates = {
        name: record.Spread.of(points[-1]["frames_per_second"]) for name, points in curves.items()
    }
    decode_ratio = rates["nirvana"].median / rates["nerv"].median
    rows = [
        (
            f"{name}, {point['epochs']} epochs",
            str(point["parameters"]),
            f"{point['cpu_seconds']:.1f}",
            f"{point['psnr_yuv']:.2f}",
            str(point["bytes"]),
            f"{point['macs_per_pixel'] / 1000:.2f}",
            f"{record.Spread.of(point['frames_per_second']):.0f}",
        )
        for name, points in curves.items()
        for point in points
    ]
    outcome = "not reached"
    if time_share and bytes_share:
        outcome = f"in {time_share:.3f} of its time with {bytes_share:.2f} of its bytes"
    width, height = options.size
    note = (
        f"{options.frames} frames of {width}x{height}. NeRV's last PSNR: {outcome} (asked for: "
        f"{TARGET_TIME:g}). Decoding: {decode_ratio:.1f} times as fast (asked for: {TARGET_DECODE:g})."
    )
    table = record.ResultTable(
        ("encode", "stored values", "s", "YUV PSNR, dB", "bytes", "kMAC/px", "decode, frames/s"),
        tuple(rows),
        note,
    )
    results = {
        "curves": curves,
        "time_share": time_share,
        "bytes_share": bytes_share,
        "decode_ratio": decode_ratio,
    }
    record.write(options.out, results, {"main": table})
    _draw(curves, options.figures / f"{options.out.stem}.png")


def file_of(name: str, model: str, epochs: int) -> Path:
    """Return the path of the encoded file of a point.

    Args:
        name: Name of the run's result.
        model: `nerv` or `nirvana`.
        epochs: Epochs of the fit.
    """
    return record.FILES / f"{name}_{model}_{epochs}.nvc"


def _point(model: str, parameters: int, epochs: int, options: Any) -> dict[str, Any]:
    """Encode the clip and measure the file.

    Args:
        model: `nerv` or `nirvana`.
        parameters: Stored values of one network.
        epochs: Epochs of the fit.
        options: Options of the command line.
    """
    file = file_of(options.out.stem, model, epochs)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    frames = slice(0, options.frames)
    fit_options = {"rate_weight": options.rate_weight} if model == "nirvana" else {}
    config = nvcodec.EncoderConfig(
        model=model,
        parameters=parameters,
        fit=FitConfig(epochs=epochs, **fit_options),
        resize=options.size,
        frames=frames,
        audio=False,
        segment=None if model == "nerv" else NirvanaConfig.GOP_LENGTH,
    )
    source = clip("bigbuckbunny.mp4")
    began = time.process_time()
    report = nvcodec.encode(source, file, config, measure=False)
    cpu_seconds = time.process_time() - began
    quality = nvcodec.compare(source, file, frames=frames).quality
    rates = []
    for _ in range(options.rounds):
        began = time.process_time()
        with nvcodec.open(file) as video:
            count = sum(len(part) for part in video.frames())
        rates.append(count / (time.process_time() - began))
    point = {
        "epochs": epochs,
        "parameters": report.parameters,
        "bytes": report.video_bytes,
        "macs_per_pixel": report.macs_per_pixel,
        "cpu_seconds": cpu_seconds,
        "clock_seconds": report.encode_seconds,
        "frames_per_second": rates,
        **asdict(quality),
    }
    print(f"{model} {epochs}: {point['psnr_yuv']:.2f} dB, {point['cpu_seconds']:.1f} s", flush=True)
    return point


def _draw(curves: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Draw both curves."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    for name, points in curves.items():
        seconds = [point["cpu_seconds"] for point in points]
        axes.plot(seconds, [point["psnr_yuv"] for point in points], "o-", label=name)
    axes.set(xscale="log", xlabel="encode, processor seconds", ylabel="YUV PSNR, dB")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    print(f"written: {path}")


if __name__ == "__main__":
    main()
