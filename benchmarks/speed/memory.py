"""Peak memory of encoding a long video, against a short one.

Two 1280x720 videos, loops of a real clip, are encoded in a process each, by tiny networks in one
epoch: the question is how much memory the segments keep, not how good they look.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av

from benchmarks.harness import record
from benchmarks.harness.clips import clip

TARGET = 1.3
_RATE = 25
_SIZE = (1280, 720)
_PARAMETERS = 60_000


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("memory", __doc__)
    parser.add_argument(
        "--seconds",
        type=float,
        nargs=2,
        default=(10.0, 60.0),
        metavar=("SHORT", "LONG"),
        help="durations of the two videos",
    )
    parser.add_argument(
        "--segment", type=int, default=None, help="frames of a segment; by default nvcodec's choice"
    )
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.child:
        _encode(options.child, options.segment)
        return

    measured = []
    with tempfile.TemporaryDirectory() as folder:
        for seconds in options.seconds:
            source = Path(folder) / f"{seconds:g}s.mp4"
            frames = _write_looped(source, round(seconds * _RATE))
            print(f"{source.name}: {frames} frames", file=sys.stderr)
            measured.append({"frames": frames, **_encode_in_child(source, options.segment)})
            source.unlink()
    ratio = measured[1]["peak_bytes"] / measured[0]["peak_bytes"]
    results = {
        "size": _SIZE,
        "parameters_per_segment": _PARAMETERS,
        "runs": measured,
        "ratio": ratio,
        "target": TARGET,
    }
    rows = tuple(
        (
            f"{seconds:g} s",
            str(run["frames"]),
            str(run["segments"]),
            f"{run['peak_bytes'] / 2**20:.0f}",
            f"{run['start_bytes'] / 2**20:.0f}",
            f"{run['seconds']:.0f}",
        )
        for seconds, run in zip(options.seconds, measured, strict=True)
    )
    table = record.ResultTable(
        ("video", "frames", "segments", "peak, MiB", "of it imports, MiB", "encode, s"),
        rows,
        f"Peak of the long one over that of the short one: {ratio:.3f}; target {TARGET:g}.",
    )
    record.write(options.out, results, {"main": table})


def _write_looped(target: Path, frames: int) -> int:
    """Write frames of Big Buck Bunny, which starts again after its end; return their number."""
    done = 0
    with av.open(str(target), "w") as container:
        options = {"preset": "ultrafast", "crf": "23"}
        stream = container.add_stream("libx264", rate=_RATE, options=options)
        stream.width, stream.height = _SIZE
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, _RATE)
        while done < frames:
            with av.open(str(clip("bigbuckbunny.mp4"))) as source:
                for frame in source.decode(video=0):
                    if done == frames:
                        break
                    frame.pts, frame.time_base = done, Fraction(1, _RATE)
                    frame.pict_type = 0
                    container.mux(stream.encode(frame))
                    done += 1
        container.mux(stream.encode(None))
    return done


def _encode_in_child(source: Path, segment: int | None) -> dict[str, float]:
    """Encode a video in a process of its own and return what that prints."""
    command = [sys.executable, "-m", "benchmarks.speed.memory", "--child", str(source)]
    command += ["--segment", str(segment)] if segment else []
    run = subprocess.run(command, cwd=record.ROOT, stdout=subprocess.PIPE, text=True, check=True)
    report: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return report


def _encode(source: Path, segment: int | None) -> None:
    """Encode a video in this process, the child, and print its peak memory as JSON."""
    import torch

    import nvcodec

    torch.zeros(1)
    # Import everything that an encode needs before its memory is measured.
    encode, config = nvcodec.encode, nvcodec.EncoderConfig
    start = _peak()
    begin = time.perf_counter()
    report = encode(
        source,
        source.with_suffix(".nvc"),
        config(
            model="hnerv",
            parameters=_PARAMETERS,
            epochs=1,
            # Each stage of each segment still takes a step; memory does not depend on their number.
            time_limit=20.0,
            segment=segment,
            device="cpu",
        ),
        measure=False,
    )
    print(
        json.dumps(
            {
                "peak_bytes": _peak(),
                "start_bytes": start,
                "segments": report.segments,
                "seconds": time.perf_counter() - begin,
                "bytes": report.bytes,
            }
        )
    )


def _peak() -> int:
    """Return the largest resident size of this process in bytes.

    It is read from /proc if that exists, since getrusage includes the parent of a new process.
    """
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    except OSError:
        pass
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used << 10


if __name__ == "__main__":
    main()
