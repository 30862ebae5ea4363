"""Frames per second of decoding `latentgrid`, and the share of entropy decoding.

Clips are scaled to 352x288 and encoded to a luma PSNR. Then each file is decoded in turn: all
frames in order to 8-bit planes, including the time to open the file, and random frames one at a
time, with the file open. Entropy decoding is everything from the bytes to the symbols, the context
networks that choose the tables included.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import torch

import nvcodec
from benchmarks.harness import record
from benchmarks.harness.clips import clip
from nvcodec.entropy.latents.decoder import LatentGridReader

_CLIPS = ("bigbuckbunny.mp4", "bikes.mp4", "carphone_pristine.mp4")
_SIZE = (352, 288)


class _Clock:
    """A clock of the time that is spent in entropy decoding."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, method: Any) -> Any:
        """Wrap a method of `LatentGridReader` so that its time counts."""

        def run(reader: LatentGridReader, *arguments: Any) -> None:
            began = time.perf_counter()
            method(reader, *arguments)
            self.seconds += time.perf_counter() - began

        return run


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("latentgrid_decode", __doc__)
    parser.add_argument("--frames", type=int, default=120, help="frames of each clip, at most")
    parser.add_argument(
        "--psnr", type=float, nargs="+", default=[35.0], help="luma PSNR of the files, dB"
    )
    parser.add_argument("--preset", default="fast", help="preset of nvcodec's encode")
    parser.add_argument("--random", type=int, default=32, help="frames fetched at random")
    parser.add_argument("--rounds", type=int, default=5, help="rounds over all files")
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="threads of torch"
    )
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    files = {(name, psnr): _encode(name, psnr, options) for name in _CLIPS for psnr in options.psnr}
    rounds: dict[tuple[str, float], list[tuple[float, float, float]]] = {key: [] for key in files}
    for _ in range(options.rounds + 1):
        for key, file in files.items():
            rounds[key].append(_measure(file, options))
    results, rows = {}, []
    for (name, psnr), timings in rounds.items():
        # The first round is a warm-up.
        in_order, at_random, entropy_share = (
            record.Spread.of([timing[column] for timing in timings[1:]]) for column in range(3)
        )
        size = files[name, psnr].stat().st_size
        results[f"{Path(name).stem}, {psnr:g} dB"] = {
            "bytes": size,
            "frames_per_second": in_order,
            "random_frames_per_second": at_random,
            "entropy_share": entropy_share,
        }
        rows.append(
            (
                Path(name).stem,
                f"{psnr:g}",
                str(size),
                f"{in_order:.0f}",
                f"{at_random:.0f}",
                f"{100 * entropy_share.median:.0f}",
            )
        )
    table = record.ResultTable(
        ("clip", "dB", "bytes", "frames/s in order", "random frames/s", "entropy, % of in order"),
        tuple(rows),
        f"{_SIZE[0]}x{_SIZE[1]}, up to {options.frames} frames, {options.preset}, "
        f"{options.threads} threads; median (lowest-highest) of {options.rounds} rounds; asked for: "
        "60, 10 and at most 20.",
    )
    record.write(options.out, results, {"main": table})


def _encode(name: str, psnr: float, options: Any) -> Path:
    """Return the file of a clip at a luma PSNR in dB; encode it unless it exists."""
    file = record.FILES / f"decode_{Path(name).stem}_{psnr:g}_{options.preset}_{options.frames}.nvc"
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        config = nvcodec.EncoderConfig(
            psnr=psnr,
            preset=options.preset,
            resize=_SIZE,
            frames=slice(0, options.frames),
            audio=False,
        )
        nvcodec.encode(clip(name), file, config, measure=False)
    return file


def _measure(file: Path, options: Any) -> tuple[float, float, float]:
    """Return frames per second in order and at random, and the share of entropy decoding in order."""
    clock = _Clock()
    with (
        mock.patch.object(LatentGridReader, "__init__", clock.timed(LatentGridReader.__init__)),
        mock.patch.object(LatentGridReader, "read", clock.timed(LatentGridReader.read)),
    ):
        began = time.perf_counter()
        with nvcodec.open(file, device="cpu") as video:
            frames = sum(len(part) for part in video.frames())
        seconds = time.perf_counter() - began
    with nvcodec.open(file, device="cpu") as video:
        chosen = random.Random(0).choices(range(frames), k=options.random)
        video.planes([0])
        began = time.perf_counter()
        for number in chosen:
            video.planes([number])
        fetched = time.perf_counter() - began
    return frames / seconds, len(chosen) / fetched, clock.seconds / seconds


if __name__ == "__main__":
    main()
