"""A rate-distortion figure: nvcodec beside x264, both measured on the files they wrote.

x264 is drawn twice. By default it is tuned for the eye, which costs PSNR; `tune=psnr` is the fair
opponent where PSNR is the measure. Its container is not counted, only its packets are.

    python docs/examples/rate_distortion_figure.py --preset medium
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import av
import matplotlib
import numpy as np
from bundled import clip

import nvcodec
from nvcodec.video import open_source

matplotlib.use("Agg")  # draws into files and needs no window
import matplotlib.pyplot as plt


class Point(NamedTuple):
    """A file: bits per pixel, and the PSNR of luma in dB."""

    bpp: float
    psnr: float


def of_nvcodec(source: Path, target: Path, bpp: float, options: argparse.Namespace) -> Point:
    """Encode at a rate, and measure the file."""
    config = nvcodec.EncoderConfig(bpp=bpp, preset=options.preset, frames=options.taken)
    report = nvcodec.encode(source, target, config, overwrite=True, measure=False)
    found = nvcodec.compare(source, target, frames=options.taken)
    return Point(report.bpp, found.quality.psnr_y)


def of_x264(source: Path, target: Path, crf: int, tune: str, options: argparse.Namespace) -> Point:
    """Encode at a constant rate factor, and measure the file."""
    packets: list[av.Packet] = []
    settings = {"preset": "medium", "crf": str(crf)} | ({"tune": tune} if tune else {})
    with open_source(source, frames=options.taken) as video, av.open(str(target), "w") as file:
        info, frames = video.info, video.read(options.frames)
        stream = file.add_stream("libx264", rate=info.frame_rate, options=settings)
        stream.width, stream.height, stream.pix_fmt = info.width, info.height, "yuv420p"
        # With slices instead of frame threads x264 would lose rate on small pictures.
        stream.codec_context.thread_count = 1
        for y, u, v in zip(frames.y, frames.u, frames.v, strict=True):
            planes = np.concatenate([y.ravel(), u.ravel(), v.ravel()]).reshape(-1, info.width)
            frame = av.VideoFrame.from_ndarray(planes, "yuv420p")
            packets += stream.encode(frame)
        packets += stream.encode(None)
        file.mux(packets)
    found = nvcodec.compare(source, target, frames=options.taken)
    pixels = len(frames) * info.width * info.height
    size = sum(packet.size for packet in packets)
    return Point(8 * size / pixels, found.quality.psnr_y)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "source", nargs="?", type=Path, default=clip(), help="any video of even sides"
    )
    parser.add_argument("--folder", type=Path, default=Path("out"), help="where the files go")
    parser.add_argument("--frames", type=int, default=32, help="how many to encode")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.1, 0.2, 0.4], metavar="BPP")
    parser.add_argument("--crf", type=int, nargs="+", default=[22, 27, 32, 37], help="of x264")
    parser.add_argument("--preset", choices=list(nvcodec.PRESETS), default="fast")
    options = parser.parse_args(argv)
    options.folder.mkdir(parents=True, exist_ok=True)
    options.taken = slice(0, options.frames)

    curves = {
        "nvcodec": [
            of_nvcodec(options.source, options.folder / f"{bpp}bpp.nvc", bpp, options)
            for bpp in options.rates
        ]
    }
    for name, tune in (("x264", ""), ("x264 tune=psnr", "psnr")):
        curves[name] = [
            of_x264(options.source, options.folder / f"{tune}crf{crf}.mkv", crf, tune, options)
            for crf in options.crf
        ]
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for name, points in curves.items():
        axes.plot([p.bpp for p in points], [p.psnr for p in points], "o-", label=name)
        print(f"{name}:", ", ".join(f"{p.bpp:.3f} bpp {p.psnr:.2f} dB" for p in points))
    axes.set(xlabel="bits per pixel", ylabel="PSNR of luma, dB", title=options.source.stem)
    axes.grid(alpha=0.3)
    axes.legend()
    target = options.folder / "rate_distortion.png"
    figure.savefig(target, dpi=150)
    plt.close(figure)
    print(f"{target}: the figure")


if __name__ == "__main__":
    main()
