"""NIRVANA's groups fitted at once, against one after the other: the same bytes, in less time.

The clip is encoded in short chains of groups, so that it has several of them. The two ways
alternate, on one thread. Times are processor times, which other programs on the machine disturb
less than elapsed times. For every optimiser step, the number of networks that took it at once is
counted.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import nvcodec
from benchmarks.harness import record
from benchmarks.harness.clips import clip
from nvcodec.allocation import keep_freed_memory
from nvcodec.config import FitConfig
from nvcodec.encoding import encoder
from nvcodec.fitting.network import batched_step
from nvcodec.workers.factory import make_pool
from nvcodec.workers.in_process_pool import InProcessPool


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("nirvana_batch", __doc__)
    parser.add_argument(
        "--sizes",
        nargs="+",
        type=record.size_argument,
        default=[(64, 32), (160, 64), (320, 136)],
        metavar="WxH",
        help="frame sizes",
    )
    parser.add_argument("--frames", type=int, default=128, help="frames of the clip")
    parser.add_argument("--refresh", type=int, default=4, help="groups of a chain")
    parser.add_argument("--epochs", type=int, default=100, help="epochs of a fit")
    parser.add_argument("--rounds", type=int, default=2, help="rounds of each way")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    keep_freed_memory()  # The command line does the same.
    results, rows = [], []
    for size in options.sizes:
        batch_sizes: Counter[int] = Counter()
        times = record.alternate(
            {
                "at once": lambda size=size, batch_sizes=batch_sizes: _encode(
                    size, options, batch_sizes
                ),
                "one by one": lambda size=size: _encode(size, options, None),
            },
            options.rounds,
        )
        are_equal = len({_file(size, way).read_bytes() for way in (True, False)}) == 1
        if not are_equal:
            raise SystemExit(f"{size}: the files differ")
        speedup = record.ratios(times["one by one"], times["at once"])
        network_steps = sum(number * count for number, count in batch_sizes.items())
        mean = network_steps / sum(batch_sizes.values())
        results.append(
            {
                "size": size,
                "bytes": _file(size, True).stat().st_size,
                "cpu_seconds": {way: record.Spread.of(values) for way, values in times.items()},
                "faster": speedup,
                "networks_a_step": dict(sorted(batch_sizes.items())),
            }
        )
        rows.append(
            (
                "x".join(map(str, size)),
                f"{mean:.1f}",
                *(f"{record.Spread.of(times[way]):.1f}" for way in ("one by one", "at once")),
                f"{speedup:.2f}",
            )
        )
    table = record.ResultTable(
        ("pictures", "networks a step", "one by one, s", "at once, s", "times as fast"),
        tuple(rows),
        f"{options.frames} frames of bikes.mp4, chains of {options.refresh} groups, 0.1 bpp, "
        f"{options.epochs} epochs. The files are the same. Median (lowest-highest) of "
        f"{options.rounds} rounds, seconds of one thread.",
    )
    record.write(options.out, {"sizes": results}, {"main": table})


def _encode(size: tuple[int, int], options: Any, batch_sizes: Counter[int] | None) -> float:
    """Encode the clip and return the processor time in seconds.

    Args:
        size: Width and height.
        options: Options of the command line.
        batch_sizes: Counter of how many networks took each step, which is updated; None to fit one
            network after the other.
    """
    at_once = batch_sizes is not None

    def counting_step(steps: Sequence[Any]) -> Any:
        if batch_sizes is not None:
            batch_sizes[len(steps)] += 1
        return original_step(steps)

    original_step = batched_step._compute_batch
    batched_step._compute_batch = counting_step
    encoder.make_pool = (
        make_pool if at_once else lambda config, fitter, *_: InProcessPool(fitter, config)
    )
    config = nvcodec.EncoderConfig(
        model="nirvana",
        bpp=0.1,
        fit=FitConfig(epochs=options.epochs),
        resize=size,
        frames=slice(0, options.frames),
        audio=False,
        refresh=options.refresh,
    )
    file = _file(size, at_once)
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        began = time.process_time()
        nvcodec.encode(clip("bikes.mp4"), file, config, measure=False, overwrite=True)
        return time.process_time() - began
    finally:
        batched_step._compute_batch = original_step
        encoder.make_pool = make_pool


def _file(size: tuple[int, int], at_once: bool) -> Path:
    """Return the path of the encoded file."""
    width, height = size
    return record.FILES / f"nirvana_batch_{width}x{height}_{'at_once' if at_once else 'alone'}.nvc"


if __name__ == "__main__":
    main()
