"""NIRVANA's groups fitted at once, against one after the other: the same bytes, in less time.

A clip in chains of a few groups, so that a short one has several of them. Both ways alternate, on one
thread; times are those of the processor, which what else runs on a machine stretches less than the
clock's. How many networks took a step at once is counted by steps.
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
from nvcodec.workers.in_process_pool import Here


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("nirvana_batch", __doc__)
    parser.add_argument(
        "--sizes", nargs="+", type=record.size_argument, default=[(64, 32), (160, 64), (320, 136)]
    )
    parser.add_argument("--frames", type=int, default=128)
    parser.add_argument("--refresh", type=int, default=4, help="groups of a chain")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    keep_freed_memory()  # as the command line does
    results, rows = [], []
    for size in options.sizes:
        company: Counter[int] = Counter()
        times = record.alternate(
            {
                "at once": lambda size=size, company=company: _encode(size, options, company),
                "one by one": lambda size=size: _encode(size, options, None),
            },
            options.rounds,
        )
        same = len({_file(size, way).read_bytes() for way in (True, False)}) == 1
        if not same:
            raise SystemExit(f"{size}: the files differ")
        faster = record.ratios(times["one by one"], times["at once"])
        taken = sum(number * count for number, count in company.items())
        mean = taken / sum(company.values())
        results.append(
            {
                "size": size,
                "bytes": _file(size, True).stat().st_size,
                "cpu_seconds": {way: record.Spread.of(values) for way, values in times.items()},
                "faster": faster,
                "networks_a_step": dict(sorted(company.items())),
            }
        )
        rows.append(
            (
                "x".join(map(str, size)),
                f"{mean:.1f}",
                *(f"{record.Spread.of(times[way]):.1f}" for way in ("one by one", "at once")),
                f"{faster:.2f}",
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


def _encode(size: tuple[int, int], options: Any, company: Counter[int] | None) -> float:
    """Seconds of an encode; counts how many networks took each step, if they do so at once."""
    together = company is not None

    def taken(steps: Sequence[Any]) -> Any:
        if company is not None:
            company[len(steps)] += 1
        return take(steps)

    take = batched_step._take
    batched_step._take = taken
    encoder.make_pool = make_pool if together else lambda config, fitter, _: Here(fitter, config)
    config = nvcodec.EncoderConfig(
        model="nirvana",
        bpp=0.1,
        fit=FitConfig(epochs=options.epochs),
        resize=size,
        frames=slice(0, options.frames),
        audio=False,
        refresh=options.refresh,
    )
    file = _file(size, together)
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        began = time.process_time()
        nvcodec.encode(clip("bikes.mp4"), file, config, measure=False, overwrite=True)
        return time.process_time() - began
    finally:
        batched_step._take = take
        encoder.make_pool = make_pool


def _file(size: tuple[int, int], together: bool) -> Path:
    """Where the file of a way is left."""
    width, height = size
    return record.FILES / f"nirvana_batch_{width}x{height}_{'at_once' if together else 'alone'}.nvc"


if __name__ == "__main__":
    main()
