"""Bytes that NIRVANA spends on moving and on still pictures.

First a pan to and fro over a photograph, a frame of a real clip, at several speeds: bytes per frame
over samples per frame, at one `lmbda`, of all groups and of those that begin in the second half,
when a still picture has been coded. Then every group of a real clip: its bytes beside the mean
difference between its frames and the ones before. The encoder chooses the frames of a group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

import nvcodec
from benchmarks.harness import record
from benchmarks.harness.clips import SMALL, clip, read
from nvcodec.container import Reader
from nvcodec.media import Frames, UInt8Array
from nvcodec.video.sinks.open_sink import open_sink

# Clip and frame of the photograph, a street. The pan shows a window of it at half its size.
_PHOTOGRAPH = ("bikes.mp4", 150)
_REDUCED = 2
_WINDOW = (176, 128)


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("nirvana_motion", __doc__)
    parser.add_argument(
        "--speeds",
        type=float,
        nargs="+",
        default=[0, 0.25, 0.5, 1, 2, 4],
        help="speeds of the pan in samples per frame",
    )
    parser.add_argument("--pan-frames", type=int, default=64, help="frames of the pan")
    parser.add_argument("--clip", choices=list(SMALL), default="bunny", help="the real clip")
    parser.add_argument("--frames", type=int, default=132, help="frames of the real clip")
    parser.add_argument("--lmbda", type=float, default=5.0, help="rate-distortion trade-off")
    parser.add_argument("--epochs", type=int, default=80, help="epochs of a fit")
    parser.add_argument(
        "--figures",
        type=Path,
        default=record.ROOT / "docs" / "figures",
        help="folder of the figure",
    )
    options = parser.parse_args(argv)
    record.FILES.mkdir(parents=True, exist_ok=True)
    config = nvcodec.EncoderConfig(
        model="nirvana", lmbda=options.lmbda, epochs=options.epochs, audio=False
    )
    pans = []
    for speed in options.speeds:
        source = record.FILES / "nirvana_motion.y4m"
        _write_pan(source, speed, options.pan_frames)
        pan = _encode(source, config)
        later = [group for group in pan["groups"] if 2 * group["first"] >= options.pan_frames]
        frames = sum(group["frames"] for group in later)
        pan["later_bytes_per_frame"] = sum(group["bytes"] for group in later) / frames
        pans.append({"speed": speed, **pan})
        print(f"{speed:g}: {pans[-1]}", flush=True)
    file, resize = SMALL[options.clip]
    config = replace(config, resize=resize, frames=slice(0, options.frames))
    real = _encode(clip(file), config)
    pictures, _ = read(clip(file), frames=config.frames, resize=resize)
    for group in real["groups"]:
        first = group["first"]
        group["change"] = _mean_change(pictures.y[max(first - 1, 0) : first + group["frames"]])
    rows = [
        (
            f"{pan['speed']:g}",
            f"{pan['bytes_per_frame']:.0f}",
            f"{pan['later_bytes_per_frame']:.0f}",
            f"{pan['psnr_yuv']:.2f}",
            " ".join(str(group["frames"]) for group in pan["groups"]),
        )
        for pan in pans
    ]
    still, fast = (extreme(pans, key=lambda pan: pan["speed"]) for extreme in (min, max))
    sizes = [group["bytes"] / group["frames"] for group in real["groups"]]
    changes = [group["change"] for group in real["groups"]]
    correlation = float(np.corrcoef(sizes, changes)[0, 1])
    note = (
        f"{options.pan_frames} frames of {_WINDOW[0]}x{_WINDOW[1]}, --lmbda {options.lmbda:g}, "
        f"{options.epochs} epochs; {fast['speed']:g} samples a frame take "
        f"{fast['bytes_per_frame'] / still['bytes_per_frame']:.1f} times the bytes of "
        f"{still['speed']:g}. Over the groups of {options.clip}, bytes a frame and change are "
        f"correlated by {correlation:.2f}."
    )
    head = (
        "samples a frame",
        "bytes a frame",
        "in the second half",
        "YUV PSNR, dB",
        "frames of the groups",
    )
    results = {"pans": pans, "real": real, "correlation": correlation}
    record.write(options.out, results, {"pans": record.ResultTable(head, tuple(rows), note)})
    _draw(pans, real["groups"], options.clip, options.figures / f"{options.out.stem}.png")


def _write_pan(target: Path, speed: float, frames: int) -> None:
    """Write a video of a window that moves over the photograph.

    Args:
        target: `.y4m` file to write.
        speed: Speed in samples per frame.
        frames: Number of frames.
    """
    name, number = _PHOTOGRAPH
    picture, info = read(clip(name), frames=slice(number, number + 1))
    width, height = _WINDOW
    info = replace(info, width=width, height=height)
    travel = picture.y.shape[2] - width * _REDUCED - 1
    # The window moves to and fro: distances beyond the edge are folded back.
    offsets = travel - np.abs(speed * _REDUCED * np.arange(frames) % (2 * travel) - travel)
    y = _windows(picture.y[0], offsets, (height, width))
    u, v = (
        _windows(plane[0], offsets / 2, (height // 2, width // 2))
        for plane in (picture.u, picture.v)
    )
    duration = int(1 / (info.frame_rate * info.time_base))
    pts = np.arange(frames, dtype=np.int64) * duration
    with open_sink(target, info, overwrite=True) as sink:
        sink.write(Frames(y=y, u=u, v=v, pts=pts, durations=np.full(frames, duration, np.int64)))


def _windows(plane: UInt8Array, offsets: np.ndarray, size: tuple[int, int]) -> UInt8Array:
    """Return windows of a plane, each at its offset in columns, averaged down to a size.

    Args:
        plane: Shape (H, W).
        offsets: Offset of each window in samples, with a fraction.
        size: Rows and columns of a window after averaging.
    """
    height, width = size
    source = torch.from_numpy(plane)[None, None, : height * _REDUCED].float()
    parts = []
    for offset in offsets:
        left, fraction = int(offset), float(offset % 1)
        columns_of_window = source[..., left : left + width * _REDUCED + 1]
        moved = (1 - fraction) * columns_of_window[..., :-1] + fraction * columns_of_window[..., 1:]
        parts.append(F.avg_pool2d(moved, _REDUCED)[0, 0])
    windows: UInt8Array = torch.stack(parts).round().to(torch.uint8).numpy()
    return windows


def _encode(source: Path, config: nvcodec.EncoderConfig) -> dict[str, Any]:
    """Encode a video and return its bytes, as a whole and group by group."""
    file = record.FILES / "nirvana_motion.nvc"
    report = nvcodec.encode(source, file, config, overwrite=True)
    with Reader(file) as reader:
        groups = [
            {
                "first": entry.first_frame,
                "frames": entry.frames,
                "bytes": len(reader.segment(entry.index).payload),
                "predicted": entry.predicted,
            }
            for entry in reader.segments
        ]
    return {
        "bytes": report.video_bytes,
        "bytes_per_frame": report.video_bytes / report.frames,
        "psnr_yuv": report.psnr_yuv,
        "groups": groups,
    }


def _mean_change(luma: UInt8Array) -> float:
    """Return the mean absolute difference between neighbouring frames in 8-bit levels."""
    if len(luma) < 2:
        return 0.0
    return float(np.abs(np.diff(luma.astype(np.int16), axis=0)).mean())


def _draw(
    pans: Sequence[dict[str, Any]], groups: Sequence[dict[str, Any]], name: str, path: Path
) -> None:
    """Draw bytes over the speed of the pan, and bytes and change of the groups of the real clip."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for key, label in (("", "all frames"), ("later_", "second half")):
        sizes = [pan[f"{key}bytes_per_frame"] for pan in pans]
        left.plot([pan["speed"] for pan in pans], sizes, "o-", label=label)
    left.legend()
    left.set(xlabel="pan, samples a frame", ylabel="bytes a frame", ylim=(0, None))
    left.grid(visible=True, alpha=0.3)
    firsts = [group["first"] for group in groups]
    right.bar(
        firsts,
        [group["bytes"] / group["frames"] for group in groups],
        width=[group["frames"] for group in groups],
        align="edge",
        color=["C0" if group["predicted"] else "C1" for group in groups],
        edgecolor="white",
    )
    right.set(xlabel=f"frame of {name} (orange: stands alone)", ylabel="bytes a frame")
    change = right.twinx()
    change.step(firsts, [group["change"] for group in groups], "k", where="post")
    change.set(ylabel="mean change of luma, levels", ylim=(0, None))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    print(f"written: {path}")


if __name__ == "__main__":
    main()
