"""Fetching random frames from an `.nvc` file, against seeking in an x264 file of equal bytes.

The x264 file has libx264's default GOP: up to 250 frames from one key frame to the next, all of
which are decoded to reach the last. Both sides return RGB pictures of the same frames of the same
clip, one at a time in random order, and all in one request (for x264: sorted, and decoded in one
pass where no key frame lies between). With a cold open the time includes opening the file and
building the networks; otherwise both are ready before.
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
    """Random access to a video by libav: seek back to a key frame, then decode up to the frame.

    Args:
        path: The video.
        times: Presentation times of its frames in seconds.
    """

    def __init__(self, path: Path, times: Sequence[float]) -> None:
        self._times = times
        self._half = (times[1] - times[0]) / 2
        self._container = av.open(str(path))
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"

    def frame_at(self, number: int) -> np.ndarray[Any, Any]:
        """Return a frame as RGB."""
        return next(self._decode_from(number, [number]))

    def frames_at(self, numbers: Sequence[int]) -> list[np.ndarray[Any, Any]]:
        """Return frames as RGB, in the given order, decoded in one pass."""
        order = sorted(set(numbers))
        pictures = dict(zip(order, self._decode_from(order[0], order), strict=True))
        return [pictures[number] for number in numbers]

    def _decode_from(self, start: int, numbers: Sequence[int]) -> Any:
        time_base = self._stream.time_base
        assert time_base is not None  # Every file that this script writes has one.
        self._container.seek(
            int((self._times[start] + self._half / 2) / time_base), stream=self._stream
        )
        remaining = iter(numbers)
        number = next(remaining)
        for frame in self._container.decode(self._stream):
            if frame.time is not None and frame.time > self._times[number] - self._half:
                yield frame.to_ndarray(format="rgb24")
                following = next(remaining, None)
                if following is None:
                    return
                number = following

    def close(self) -> None:
        """Close the file."""
        self._container.close()


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("random_access", __doc__)
    parser.add_argument(
        "--resize", type=record.size_argument, default=(320, 136), metavar="WxH", help="frame size"
    )
    parser.add_argument("--preset", default="fast", help="preset of nvcodec's encode")
    parser.add_argument("--epochs", type=int, help="number of epochs instead of the preset's")
    parser.add_argument("--bpp", type=float, default=0.1, help="target size in bits per pixel")
    parser.add_argument("--fetches", type=int, default=32, help="random frames per round")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each access")
    parser.add_argument("--device", default="cpu", help="device to encode and decode on")
    parser.add_argument("--seed", type=int, default=0, help="seed of the fit and of the frames")
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
        random_source = random.Random(options.seed)
        numbers = [random_source.randrange(len(frames)) for _ in range(options.fetches)]
        quality = {
            name: asdict(nvcodec.compare(source, path, device=options.device).quality)
            for name, path in (("nvcodec", file), ("x264", anchor.path))
        }
        key_frames = _key_frames(anchor.path)

        def open_nvcodec() -> nvcodec.Decoder:
            return nvcodec.open(file, device=options.device)

        def open_x264() -> AbstractContextManager[_Seeker]:
            return closing(_Seeker(anchor.path, times))

        _check(anchor.path, times, numbers)
        measures: dict[str, Callable[[], float]] = {}
        for cold in (True, False):
            for batched in (False, True):
                label = _label(cold, batched)
                measures[f"nvcodec {label}"] = _timed(
                    open_nvcodec, numbers, batched, cold, lambda video, request: video[request]
                )
                measures[f"x264 {label}"] = _timed(
                    open_x264,
                    numbers,
                    batched,
                    cold,
                    lambda video, request: (
                        video.frames_at(request)
                        if isinstance(request, list)
                        else video.frame_at(request)
                    ),
                )
        measured = record.alternate(measures, options.rounds)

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
            label = _label(cold, batched)
            nvcodec_times, x264_times = measured[f"nvcodec {label}"], measured[f"x264 {label}"]
            ratio = record.ratios(x264_times, nvcodec_times)
            results["kinds"][label] = {
                "x264_time_over_nvcodec": ratio,
                "seconds": {
                    "nvcodec": record.Spread.of(nvcodec_times),
                    "x264": record.Spread.of(x264_times),
                },
            }
            rows.append(
                (
                    label,
                    f"{ratio:.2f}",
                    f"{1000 * record.Spread.of(nvcodec_times).median / options.fetches:.2f}",
                    f"{1000 * record.Spread.of(x264_times).median / options.fetches:.2f}",
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


def _label(cold: bool, batched: bool) -> str:
    """Return the row label of a kind of access."""
    order = "one request" if batched else "one by one"
    return f"{order}, cold open" if cold else order


def _timed(
    open_video: Callable[[], AbstractContextManager[Any]],
    numbers: list[int],
    batched: bool,
    cold: bool,
    fetch: Callable[[Any, Any], Any],
) -> Callable[[], float]:
    """Return a function that measures the seconds to fetch all frames.

    Args:
        open_video: Opens the video.
        numbers: Numbers of the frames.
        batched: Whether the frames are fetched in one request.
        cold: Whether the time includes opening the video.
        fetch: Fetches a frame, or a list of frames, from an open video.
    """

    def measure() -> float:
        begin = time.perf_counter()
        with open_video() as video:
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
    """Return the number of key frames of a video."""
    with av.open(str(path)) as container:
        return sum(packet.is_keyframe for packet in container.demux(video=0) if packet.size)


def _check(path: Path, times: Sequence[float], numbers: Sequence[int]) -> None:
    """Check that seeking finds the pictures that decoding from the start finds.

    Raises:
        SystemExit: If a picture differs.
    """
    with av.open(str(path)) as container:
        decoded = container.decode(video=0)
        expected = {
            number: frame.to_ndarray(format="rgb24")
            for number, frame in enumerate(decoded)
            if number in numbers
        }
    with closing(_Seeker(path, times)) as seeker:
        for number, batched in zip(numbers, seeker.frames_at(numbers), strict=True):
            for picture in (batched, seeker.frame_at(number)):
                if not np.array_equal(picture, expected[number]):
                    raise SystemExit(f"seeking frame {number} of {path} found another picture")


if __name__ == "__main__":
    main()
