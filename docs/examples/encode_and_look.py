"""Encode a clip, print what the file is worth, and look at a decoded frame beside its source.

python docs/examples/encode_and_look.py
python docs/examples/encode_and_look.py my.mp4 --resize 640x360 --bpp 0.05 --preset medium
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from bundled import clip
from PIL import Image

import nvcodec
from nvcodec.video import open_source, rgb


def source_picture(source: Path, number: int, size: tuple[int, int]) -> np.ndarray:
    """One frame of the source as the encoder saw it: RGB, uint8, shape (H, W, 3)."""
    with open_source(source, frames=slice(number, number + 1), resize=size) as video:
        frame = video.read(1)
        return rgb(frame.y, frame.u, frame.v, video.info.colour)[0]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", nargs="?", type=Path, default=clip(), help="any video")
    parser.add_argument("--folder", type=Path, default=Path("out"), help="where the files go")
    parser.add_argument("--frames", type=int, default=32, help="how many to encode")
    parser.add_argument("--resize", default="176x144", metavar="WxH")
    parser.add_argument("--bpp", type=float, default=0.2, help="bits per pixel of the file")
    parser.add_argument("--preset", choices=list(nvcodec.PRESETS), default="ultrafast")
    options = parser.parse_args(argv)
    options.folder.mkdir(parents=True, exist_ok=True)
    width, height = (int(side) for side in options.resize.split("x"))

    target = options.folder / "clip.nvc"
    config = nvcodec.EncoderConfig(
        bpp=options.bpp,
        preset=options.preset,
        resize=(width, height),
        frames=slice(0, options.frames),
    )
    # Another process decodes the file and measures it; `measure=False` leaves that out.
    report = nvcodec.encode(options.source, target, config, overwrite=True)
    print(f"{report.file}: {report.frames} frames of {report.width}x{report.height}")
    print(f"{report.video_bytes} bytes are {report.bpp:.3f} bits per pixel")
    print(f"PSNR of luma {report.psnr_y:.2f} dB, encoded in {report.encode_seconds:.1f} s")

    with nvcodec.open(target) as video:
        middle = len(video) // 2
        decoded = video[middle]
    source = source_picture(options.source, middle, (width, height))
    picture = options.folder / "side_by_side.png"
    Image.fromarray(np.concatenate([source, decoded], axis=1)).save(picture)
    print(f"{picture}: frame {middle}, the source on the left, the decoded frame on the right")


if __name__ == "__main__":
    main()
