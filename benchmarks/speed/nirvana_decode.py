"""Decoding NIRVANA against decoding NeRV at equal quality, of files from `nirvana_vs_nerv`.

The files of each of its runs are NeRV's last and the first of NIRVANA's that is as good. Both are
decoded in turn, from opening to the last picture. Times are processor times.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import nvcodec
from benchmarks.harness import record
from benchmarks.speed.nirvana_vs_nerv import file_of

TARGET = 6.0
_RUNS = ("nirvana_speed", "nirvana_speed_640x352")


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("nirvana_decode", __doc__)
    parser.add_argument(
        "--runs", nargs="+", default=list(_RUNS), help="names of results of nirvana_vs_nerv"
    )
    parser.add_argument("--rounds", type=int, default=9, help="rounds of each file")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    results = {name: _compare(name, options.rounds) for name in options.runs}
    rows = [
        (
            run["size"],
            f"{run['nerv']['psnr_yuv']:.2f}",
            f"{run['nirvana']['psnr_yuv']:.2f}",
            f"{record.Spread.of(run['nerv']['frames_per_second']):.0f}",
            f"{record.Spread.of(run['nirvana']['frames_per_second']):.0f}",
            f"{run['ratio']:.1f}",
        )
        for run in results.values()
    ]
    table = record.ResultTable(
        ("picture", "nerv, dB", "nirvana, dB", "nerv, frames/s", "nirvana", "times as fast"),
        tuple(rows),
        f"Median (lowest-highest) of {options.rounds} rounds, one thread; asked for: {TARGET:g}.",
    )
    record.write(options.out, results, {"main": table})


def _compare(name: str, rounds: int) -> dict[str, Any]:
    """Decode both files of a run in turn and return sizes, PSNR and speed.

    Args:
        name: Name of the run's result.
        rounds: Rounds of each file.
    """
    curves = json.loads((record.RESULTS / f"{name}.json").read_text())["results"]["curves"]
    nerv = curves["nerv"][-1]
    good_enough = (point for point in curves["nirvana"] if point["psnr_yuv"] >= nerv["psnr_yuv"])
    chosen = {"nerv": nerv, "nirvana": min(good_enough, key=lambda point: point["epochs"])}
    files = {model: file_of(name, model, point["epochs"]) for model, point in chosen.items()}
    for file in files.values():
        if not file.is_file():
            raise SystemExit(
                f"no {file}: run python -m benchmarks.speed.nirvana_vs_nerv --out .../{name}.json "
                "first"
            )
    with nvcodec.open(files["nerv"]) as video:
        size = f"{video.info.width}x{video.info.height}"
        frames = len(video)
    seconds = record.alternate(
        {model: lambda file=file: _seconds(file) for model, file in files.items()}, rounds
    )
    return {
        "size": size,
        "ratio": record.ratios(seconds["nerv"], seconds["nirvana"]),
        **{
            model: {
                "epochs": point["epochs"],
                "bytes": files[model].stat().st_size,
                "psnr_yuv": point["psnr_yuv"],
                "frames_per_second": [frames / elapsed for elapsed in seconds[model]],
            }
            for model, point in chosen.items()
        },
    }


def _seconds(file: Path) -> float:
    """Decode all frames of a file and return the processor time in seconds."""
    began = time.process_time()
    with nvcodec.open(file) as video:
        for _ in video.frames():
            pass
    return time.process_time() - began


if __name__ == "__main__":
    main()
