"""Fetching random frames from an `.nvc` file, against seeking in x264 of the same bytes.

The x264 file has libx264's default GOP: up to 250 frames from a key frame to the next, all of which
must be decoded to reach the last. Both sides give RGB pictures of the same frames of the same clip,
one at a time in random order, and all in one request (for x264: sorted, and decoded in one pass
where no key frame lies between). With a cold open, files are opened and networks built within the
time; without, they are ready before it.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import av
import numpy as np

import nvcodec
from benchmarks.harness import record
from benchmarks.harness.anchor_codecs import ENCODERS, encode_at, version
from benchmarks.harness.clips import clip, read

_CLIP = "bikes.mp4"


class _Seeker:
    """Random access to a video by libav: back to a key frame, then decode up to the frame.

    Args:
        path: The video.
        times: Seconds at which its frames are shown.
    """

    def __init__(self, path: Path, times: Sequence[float]) -> None:
        self._times = times
        self._half = (times[1] - times[0]) / 2
        self._container = av.open(str(path))
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"

    def one(self, number: int) -> np.ndarray[Any, Any]:
        """A frame as RGB."""
        return next(self._from(number, [number]))

    def many(self, numbers: Sequence[int]) -> list[np.ndarray[Any, Any]]:
        """Frames as RGB, in the order asked for, decoded in one pass."""
        order = sorted(set(numbers))
        pictures = dict(zip(order, self._from(order[0], order), strict=True))
        return [pictures[number] for number in numbers]

    def _from(self, start: int, wanted: Sequence[int]) -> Any:
        base = self._stream.time_base
        assert base is not None  # of every file that this script writes
        self._container.seek(int((self._times[start] + self._half / 2) / base), stream=self._stream)
        left = iter(wanted)
        number = next(left)
        for frame in self._container.decode(self._stream):
            if frame.time is not None and frame.time > self._times[number] - self._half:
                yield frame.to_ndarray(format="rgb24")
                following = next(left, None)
                if following is None:
                    return
                number = following

    def close(self) -> None:
        """Release the file."""
        self._container.close()


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("random_access", __doc__)
    parser.add_argument("--resize", type=record.size_argument, default=(320, 136), help="WxH")
    parser.add_argument("--preset", default="fast", help="of nvcodec's encode")
    parser.add_argument("--epochs", type=int, default=None, help="instead of the preset's")
    parser.add_argument("--bpp", type=float, default=0.1)
    parser.add_argument("--fetches", type=int, default=32, help="random frames per round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)

    source = clip(_CLIP)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "clip.nvc"
        report = nvcodec.encode(
            source,
            file,
            nvcodec.EncoderConfig(
                preset=options.preset,
                epochs=options.epochs,
                bpp=options.bpp,
                resize=options.resize,
                audio=False,
                device=options.device,
                seed=options.seed,
            ),
            measure=False,
        )
        frames, info = read(source, resize=options.resize)
        anchor = encode_at(
            ENCODERS["x264-medium"],
            frames,
            info,
            Path(folder) / "clip.mkv",
            report.video_bytes,
        )
        times = [float(ticks * info.time_base) for ticks in frames.pts]
        chosen = random.Random(options.seed)
        numbers = [chosen.randrange(len(frames)) for _ in range(options.fetches)]
        quality = {
            name: asdict(nvcodec.compare(source, path, device=options.device).quality)
            for name, path in (("nvcodec", file), ("x264", anchor.path))
        }
        key_frames = _key_frames(anchor.path)

        def ours() -> nvcodec.Decoder:
            return nvcodec.open(file, device=options.device)

        def theirs() -> AbstractContextManager[_Seeker]:
            return closing(_Seeker(anchor.path, times))

        _check(anchor.path, times, numbers)
        measures: dict[str, Callable[[], float]] = {}
        for cold in (True, False):
            for batched in (False, True):
                kind = _kind(cold, batched)
                measures[f"nvcodec {kind}"] = _timed(
                    ours, numbers, batched, cold, lambda video, wanted: video[wanted]
                )
                measures[f"x264 {kind}"] = _timed(
                    theirs,
                    numbers,
                    batched,
                    cold,
                    lambda video, wanted: (
                        video.many(wanted) if isinstance(wanted, list) else video.one(wanted)
                    ),
                )
        taken = record.alternate(measures, options.rounds)

    results: dict[str, Any] = {
        "clip": _CLIP,
        "size": options.resize,
        "frames": len(frames),
        "segments": report.segments,
        "fetches": options.fetches,
        "bytes": {"nvcodec": report.video_bytes, "x264": anchor.bytes},
        "quality": quality,
        "x264": {
            "version": version("libx264"),
            "options": anchor.options,
            "key_frames": key_frames,
        },
        "encode": {"epochs": report.epochs, "seconds": report.encode_seconds},
        "kinds": {},
    }
    rows = []
    for cold in (False, True):
        for batched in (False, True):
            kind = _kind(cold, batched)
            mine, other = taken[f"nvcodec {kind}"], taken[f"x264 {kind}"]
            ratio = record.ratios(other, mine)
            results["kinds"][kind] = {
                "x264_time_over_nvcodec": ratio,
                "seconds": {
                    "nvcodec": record.Spread.of(mine),
                    "x264": record.Spread.of(other),
                },
            }
            rows.append(
                (
                    kind,
                    f"{ratio:.2f}",
                    f"{1000 * record.Spread.of(mine).median / options.fetches:.2f}",
                    f"{1000 * record.Spread.of(other).median / options.fetches:.2f}",
                )
            )
    speeds = record.ResultTable(
        ("access", "x264 time over nvcodec time", "nvcodec, ms a frame", "x264, ms a frame"),
        tuple(rows),
        f"{options.fetches} random frames of {len(frames)}; median (lowest-highest) of "
        f"{options.rounds} rounds.",
    )
    files = record.ResultTable(
        ("file", "bytes", "PSNR Y, dB", "PSNR RGB, dB", "MS-SSIM"),
        tuple(
            (
                name,
                str(results["bytes"][name]),
                f"{quality[name]['psnr_y']:.2f}",
                f"{quality[name]['psnr_rgb']:.2f}",
                f"{quality[name]['ms_ssim']:.4f}",
            )
            for name in ("nvcodec", "x264")
        ),
        f"{_CLIP} at {options.resize[0]}x{options.resize[1]}; nvcodec: {report.segments} segments, "
        f"{report.epochs} epochs; {version('libx264')}, preset medium, CRF {anchor.options['crf']}, "
        f"{key_frames} key frames.",
    )
    record.write(options.out, results, {"speed": speeds, "files": files})


def _kind(cold: bool, batched: bool) -> str:
    how = "one request" if batched else "one by one"
    return f"{how}, cold open" if cold else how


def _timed(
    opened: Callable[[], AbstractContextManager[Any]],
    numbers: list[int],
    batched: bool,
    cold: bool,
    fetch: Callable[[Any, Any], Any],
) -> Callable[[], float]:
    """A measurement: seconds to fetch all numbers."""

    def measure() -> float:
        begin = time.perf_counter()
        with opened() as video:
            if not cold:
                fetch(video, numbers)
                begin = time.perf_counter()
            if batched:
                fetch(video, numbers)
            else:
                for number in numbers:
                    fetch(video, number)
            return time.perf_counter() - begin

    return measure


def _key_frames(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(packet.is_keyframe for packet in container.demux(video=0) if packet.size)


def _check(path: Path, times: Sequence[float], numbers: Sequence[int]) -> None:
    """Seeking must find the pictures that decoding from the start finds."""
    with av.open(str(path)) as container:
        decoded = container.decode(video=0)
        wanted = {
            number: frame.to_ndarray(format="rgb24")
            for number, frame in enumerate(decoded)
            if number in numbers
        }
    with closing(_Seeker(path, times)) as seeker:
        for number, together in zip(numbers, seeker.many(numbers), strict=True):
            for found in (together, seeker.one(number)):
                if not np.array_equal(found, wanted[number]):
                    raise SystemExit(f"seeking frame {number} of {path} found another picture")


if __name__ == "__main__":
    main()
