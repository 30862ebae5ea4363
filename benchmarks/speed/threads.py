"""Four threads that read one open file, over one thread that reads it.

Each picture size has a file of eight segments of `latentgrid`. A round opens it twice: one thread
reads the segments in turn, then four threads share them. How far threads can help depends on what else
the machine does, so every round also times products of matrices, which need no lock of Python, on one
thread and on four. With `--before`, a process for each of two checkouts decodes its own file with one
thread, in turn.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

import nvcodec
from benchmarks.harness import record
from benchmarks.harness.clips import clip

_SEGMENTS = 8
_THREADS = 4
_TARGET = 1.0
# The side and the number of the matrix products that show what the machine has free.
_SIDE, _PRODUCTS = 512, 200
_DECODE = """
import sys, time, torch, nvcodec
torch.set_num_threads(1)
for _ in range(2):  # the first time, code and tables are loaded
    with nvcodec.open(sys.argv[1], device="cpu") as video:
        began = time.perf_counter()
        frames = sum(len(part) for part in video.frames())
        seconds = time.perf_counter() - began
print(frames / seconds)
"""


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("threads", __doc__)
    parser.add_argument("--clip", type=Path, default=None, help="video to encode, not bigbuckbunny")
    parser.add_argument(
        "--sizes",
        type=record.size_argument,
        nargs="+",
        default=[(480, 270), (96, 64)],
        help="width and height of the pictures",
    )
    parser.add_argument("--segment", type=int, default=16, help="frames of each of eight segments")
    parser.add_argument("--preset", default="ultrafast", help="preset of nvcodec's encode")
    parser.add_argument("--rounds", type=int, default=9, help="rounds of each file")
    parser.add_argument("--before", type=Path, default=None, help="checkout to compare with")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    results, rows, paired = {}, [], []
    for size in options.sizes:
        name, file = f"{size[0]}x{size[1]}", _encode(size, options)
        read_all(file, 1)  # code and tables are loaded
        seconds = record.alternate(
            {
                "one thread": lambda file=file: read_all(file, 1),
                "four threads": lambda file=file: read_all(file, _THREADS),
                "products, one thread": lambda: _products(1),
                "products, four threads": lambda: _products(_THREADS),
            },
            options.rounds,
        )
        one, four, *products = seconds.values()
        ratio, free = record.ratios(four, one), record.ratios(products[1], products[0])
        spreads = record.Spread.of(one), record.Spread.of(four)
        rows.append((name, *(f"{spread:.3f}" for spread in spreads), f"{ratio:.2f}", f"{free:.2f}"))
        results[name] = {
            "bytes": file.stat().st_size,
            "frames": _SEGMENTS * options.segment,
            "one_thread_seconds": spreads[0],
            "four_threads_seconds": spreads[1],
            "four_over_one": ratio,
            "products_four_over_one": free,
        }
        if options.before is not None:
            before, after = _frames_per_second(size, file, options)
            gain = record.ratios(after, before)
            speeds = record.Spread.of(before), record.Spread.of(after)
            paired.append((name, *(f"{spread:.0f}" for spread in speeds), f"{gain:.2f}"))
            results[name] |= {
                "frames_per_second_before": speeds[0],
                "frames_per_second": speeds[1],
                "times_as_fast": gain,
            }
    tables = {
        "threads": record.ResultTable(
            ("picture", "one thread, s", "four threads, s", "four over one", "of matrix products"),
            tuple(rows),
            f"Eight segments of {options.segment} frames, {options.preset}; median (lowest-highest) "
            f"of {options.rounds} rounds; asked for: less than {_TARGET:g}.",
        )
    }
    if paired:
        tables["paired"] = record.ResultTable(
            ("picture", "before, frames/s", "now, frames/s", "times as fast"),
            tuple(paired),
            f"One thread, in turn; median (lowest-highest) of {options.rounds} rounds.",
        )
    record.write(options.out, results, tables)


def _encode(size: tuple[int, int], options: Any, checkout: Path = record.ROOT) -> Path:
    """Return a file of eight segments that a checkout has encoded."""
    source = options.clip or clip("bigbuckbunny.mp4")
    frames = _SEGMENTS * options.segment
    name = f"threads_{checkout.name}_{source.stem}_{size[0]}x{size[1]}_{options.preset}.nvc"
    file = record.FILES / name
    file.parent.mkdir(parents=True, exist_ok=True)
    command = [
        *(sys.executable, "-m", "nvcodec", "encode", str(source.resolve()), "-o", str(file)),
        *("-y", "--no-audio", "--quiet", "--preset", options.preset),
        *("--resize", f"{size[0]}x{size[1]}", "--frames", f"0:{frames}"),
        *("--segment", str(options.segment)),
    ]
    subprocess.run(command, env=_environment(checkout), cwd=checkout, check=True)
    return file


def _environment(checkout: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}


def read_all(file: Path, threads: int) -> float:
    """Return the seconds that threads take to read all segments of a file that they share."""
    with nvcodec.open(file, device="cpu") as video:
        length = -(-len(video) // _SEGMENTS)
        parts = [slice(start, start + length) for start in range(0, len(video), length)]
        return _timed(threads, [lambda part=part: video.planes(part) for part in parts])


def _products(threads: int) -> float:
    """Return the seconds that threads take for products of matrices."""
    matrix = torch.rand(_SIDE, _SIDE)

    def multiply() -> None:
        for _ in range(_PRODUCTS // _SEGMENTS):
            torch.mm(matrix, matrix)

    return _timed(threads, [multiply] * _SEGMENTS)


def _timed(threads: int, jobs: Sequence[Callable[[], object]]) -> float:
    with ThreadPoolExecutor(threads) as pool:
        began = time.perf_counter()
        for done in [pool.submit(job) for job in jobs]:
            done.result()
        return time.perf_counter() - began


def _frames_per_second(
    size: tuple[int, int], file: Path, options: Any
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return frames per second of one thread with another checkout, and with this one.

    Each decodes what it has encoded itself, at the same size in bytes.
    """
    before = options.before.resolve()
    earlier = _encode(size, options, before)

    def decode(checkout: Path, file: Path) -> float:
        command = [sys.executable, "-c", _DECODE, str(file.resolve())]
        done = subprocess.run(
            command, env=_environment(checkout), cwd=checkout, stdout=subprocess.PIPE, check=True
        )
        return float(done.stdout)

    speeds = record.alternate(
        {
            "before": lambda: decode(before, earlier),
            "now": lambda: decode(record.ROOT, file),
        },
        options.rounds,
    )
    return speeds["before"], speeds["now"]


if __name__ == "__main__":
    main()
