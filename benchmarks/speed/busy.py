"""Encoding beside another process that keeps a core busy, and with two workers.

Two ratios of wall times of whole commands, measured in turn: an encode with default settings beside a
busy process, over the same on an idle machine with one thread; and an encode with two workers, over
that with one. The machine has to be idle otherwise, and to have two cores at least. All encodes of a
comparison must give the same bytes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.harness import record
from benchmarks.harness.clips import clip
from nvcodec.host.subprocesses import child

BUSY_TARGET = 1.3
WORKERS_TARGET = 0.6
_CORES = 2


@contextmanager
def busy_process() -> Iterator[None]:
    """Keep one core busy."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


class _Encodes:
    """Encodes of one clip, each in a process of its own.

    Args:
        folder: Folder of the encoded files.
        arguments: Arguments of all encodes, after the target.
        source: The clip.
    """

    def __init__(self, folder: Path, source: Path, arguments: Sequence[str]) -> None:
        self._target, self._source, self._arguments = folder / "clip.nvc", source, arguments
        self.contents: set[bytes] = set()

    def seconds(self, *arguments: str, threads: int | None = None) -> float:
        """Return the wall time of an encode, with its measurement.

        Args:
            arguments: Further arguments.
            threads: Number of threads that the user asks for; None for the default.
        """
        start = child("nvcodec", "encode", str(self._source), "-o", str(self._target), "-y", "-q")
        environment = dict(start.environment)
        environment.pop("OMP_NUM_THREADS", None)
        if threads is not None:
            environment["OMP_NUM_THREADS"] = str(threads)
        begin = time.perf_counter()
        subprocess.run(
            [*start.command, *self._arguments, *arguments],
            env=environment,
            cwd=start.folder,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        seconds = time.perf_counter() - begin
        self.contents.add(self._target.read_bytes())
        return seconds


def _beside_busy(encode: Callable[[], float]) -> float:
    with busy_process():
        return encode()


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("busy", __doc__)
    parser.add_argument("--clip", type=Path, default=None, help="video to encode, not carphone")
    parser.add_argument("--frames", type=int, default=16, help="frames beside a busy process")
    parser.add_argument(
        "--worker-frames", type=int, default=120, help="frames with workers, in eight segments"
    )
    parser.add_argument("--preset", default="ultrafast", help="preset beside a busy process")
    parser.add_argument("--worker-preset", default="fast", help="preset with workers")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each encode")
    options = parser.parse_args(argv)

    if hasattr(os, "sched_setaffinity"):  # the targets are those of two cores
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:_CORES])
    source = (options.clip or clip("carphone_pristine.mp4")).resolve()
    common = ["--device", "cpu", "--no-audio"]
    with tempfile.TemporaryDirectory() as folder:
        frames = ["--frames", f"0:{options.frames}"]
        short = _Encodes(Path(folder), source, [*common, "--preset", options.preset, *frames])
        busy = record.alternate(
            {
                "idle, one thread": lambda: short.seconds(threads=1),
                "idle": short.seconds,
                "beside a busy process": lambda: _beside_busy(short.seconds),
            },
            options.rounds,
        )
        segment = -(-options.worker_frames // 8)
        frames = ["--frames", f"0:{options.worker_frames}", "--segment", str(segment)]
        long = _Encodes(Path(folder), source, [*common, "--preset", options.worker_preset, *frames])
        workers = record.alternate(
            {
                "one worker": lambda: long.seconds("--workers", "1"),
                "two workers": lambda: long.seconds("--workers", "2"),
            },
            options.rounds,
        )
    slowdown = record.ratios(busy["beside a busy process"], busy["idle, one thread"])
    speedup = record.ratios(workers["two workers"], workers["one worker"])
    times = {**busy, **workers}
    seconds = {name: record.Spread.of(values) for name, values in times.items()}
    table = record.ResultTable(
        ("encode", "seconds"),
        tuple((name, f"{spread:.2f}") for name, spread in seconds.items()),
        note=f"Beside a busy process over idle with one thread: {slowdown:.2f}; target "
        f"{BUSY_TARGET}. Two workers over one: {speedup:.2f}; target {WORKERS_TARGET}.",
    )
    results = {
        "clip": source.name,
        "preset": options.preset,
        "worker_preset": options.worker_preset,
        "frames": options.frames,
        "worker_frames": options.worker_frames,
        "seconds": seconds,
        "busy_over_idle": slowdown,
        "two_workers_over_one": speedup,
        "equal_bytes": [len(short.contents) == 1, len(long.contents) == 1],
    }
    record.write(options.out, results, {"busy": table})


if __name__ == "__main__":
    main()
