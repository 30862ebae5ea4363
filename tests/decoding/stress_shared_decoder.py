"""Reads golden streams of all families by threads and by workers of a `DataLoader`, many times.

Every picture is compared with the one that a single thread decodes. Not a test by itself, because a
thousand rounds take many minutes; `test_shared_decoder.py` runs a few.

    python -m tests.decoding.stress_shared_decoder --rounds 1000
    python -m tests.decoding.stress_shared_decoder --rounds 50 --ways threads --streams latentgrid
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path
from threading import Barrier, Event, Thread

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

import nvcodec
from nvcodec.media import UInt8Array

STREAMS = Path(__file__).resolve().parents[1] / "golden" / "v1"
THREADS = 4
FRAMES = 8
"""Frames that a round reads, and each of its threads."""


class Pictures(Dataset[UInt8Array]):
    """The frames of several files. It holds open decoders, also in the workers of a loader."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.videos = [nvcodec.open(path, device="cpu") for path in paths]
        self.places = [(v, n) for v, video in enumerate(self.videos) for n in range(len(video))]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> UInt8Array:
        video, frame = self.places[index]
        return self.videos[video][frame]

    def close(self) -> None:
        for video in self.videos:
            video.close()


class Rounds:
    """Rounds of random frames; a sampler of as many epochs as are asked for.

    Args:
        count: Number of frames to choose from.
        seed: Seed of the choice.
    """

    def __init__(self, count: int, seed: int) -> None:
        self._count, self._random = count, random.Random(seed)
        self.last: list[int] = []

    def __iter__(self) -> Iterator[int]:
        self.last = self._random.choices(range(self._count), k=FRAMES)
        return iter(self.last)


def wrong(found: UInt8Array, right: UInt8Array) -> bool:
    """Return whether a picture is another one; other batches may round a sample differently."""
    difference = np.abs(found.astype(np.int16) - right)
    return bool(
        found.shape != right.shape or difference.max() > 1 or (difference > 0).mean() > 0.01
    )


def by_threads(paths: Sequence[Path], right: list[UInt8Array], rounds: int) -> int:
    """Let four threads read fresh decoders; return the number of wrong pictures and of errors."""
    data, failures = Pictures(paths), [0] * THREADS
    chance = random.Random(1)

    def read(place: int, shared: Pictures, frames: list[int], start: Barrier) -> None:
        start.wait()
        for frame in frames:
            try:
                failures[place] += wrong(shared[frame], right[frame])
            except Exception as error:  # noqa: BLE001 - every error counts
                print(f"{type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201
                failures[place] += 1

    for number in range(rounds):
        # Two files, newly opened: what goes wrong does so while segments are opened and first used.
        taken = [number % len(paths), chance.randrange(len(paths))]
        for video in set(taken):
            data.videos[video].close()
            data.videos[video] = nvcodec.open(paths[video], device="cpu")
        places = [n for n, (video, _) in enumerate(data.places) if video in taken]
        start = Barrier(THREADS)
        threads = [
            Thread(target=read, args=(place, data, chance.choices(places, k=FRAMES), start))
            for place in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        _report(number, sum(failures))
    data.close()
    return sum(failures)


def by_workers(
    paths: Sequence[Path], right: list[UInt8Array], rounds: int, method: str, workers: int
) -> int:
    """Let the workers of a loader read; forked ones anew in every round, spawned ones in all.

    A thread of this process reads from the same decoders, also at the moment of a fork.

    Returns:
        The number of wrong pictures; an error in a worker is raised here.
    """
    data = Pictures(paths)
    ended = Event()

    def read() -> None:
        for frame in cycle(range(0, len(data), 5)):
            if ended.is_set():
                return
            data[frame]
            time.sleep(0.01)

    sampler, failures = Rounds(len(data), 2), 0
    loader = DataLoader(
        data,
        batch_size=None,
        sampler=sampler,  # type: ignore[arg-type]
        num_workers=workers,
        collate_fn=_same,
        multiprocessing_context=method,
        persistent_workers=method == "spawn",
    )
    thread = Thread(target=read)
    thread.start()
    try:
        for number in range(rounds):
            found = list(loader)
            failures += sum(
                wrong(np.asarray(picture), right[frame])
                for picture, frame in zip(found, sampler.last, strict=True)
            )
            _report(number, failures)
    finally:
        ended.set()
        thread.join()
        data.close()
    return failures


def _report(number: int, failures: int) -> None:
    if number % 100 == 99:
        print(f"{number + 1} rounds, {failures} failures", file=sys.stderr, flush=True)  # noqa: T201


def _same(picture: UInt8Array) -> UInt8Array:
    return picture


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=10, help="of each way of reading")
    parser.add_argument("--ways", nargs="+", default=["threads", "fork", "spawn"])
    parser.add_argument("--workers", type=int, default=2, help="of a loader")
    parser.add_argument("--streams", default="", help="only those with this in their name")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    sys.setswitchinterval(1e-4)
    paths = sorted(STREAMS.glob(f"*{options.streams}*/stream.nvc"))
    alone = Pictures(paths)
    right = [alone[frame] for frame in range(len(alone))]
    alone.close()
    bad = 0
    for way in options.ways:
        begin = time.perf_counter()
        if way == "threads":
            failures = by_threads(paths, right, options.rounds)
        else:
            failures = by_workers(paths, right, options.rounds, way, options.workers)
        read = options.rounds * FRAMES * (THREADS if way == "threads" else 1)
        print(  # noqa: T201
            f"{way}: {failures} of {read} pictures wrong, {options.rounds} rounds, "
            f"{len(paths)} files, {time.perf_counter() - begin:.1f} s",
            flush=True,
        )
        bad += failures
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
