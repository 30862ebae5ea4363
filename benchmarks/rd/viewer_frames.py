"""Frames for the page's viewer: of the source, a network's file and an anchor of equal bytes."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import nvcodec
from benchmarks.harness.clips import read
from benchmarks.rd.points import Row
from nvcodec.media import Colour, Frames, UInt8Array
from nvcodec.metrics import psnr
from nvcodec.video import rgb

_POSITIONS = (1 / 6, 1 / 2, 5 / 6)  # Positions of the frames, as shares of the clip.
_WEBP_QUALITIES = (95, 92, 88, 84, 80, 70)


@dataclass(frozen=True, slots=True)
class ViewerClip:
    """A clip that the viewer shows.

    Attributes:
        clip: Name of the clip.
        source: The lossless file.
        files: Rows and their encoded files: a network's, then an anchor's.
    """

    clip: str
    source: Path
    files: Sequence[tuple[Row, Path]]


def viewer(clips: Sequence[ViewerClip], total_bytes: int) -> list[dict[str, Any]]:
    """Return the data of the viewer for JSON, with the frames as data URIs.

    Args:
        clips: The clips.
        total_bytes: Largest size of all data URIs together.
    """
    images = sum(len(_POSITIONS) * (1 + len(clip.files)) for clip in clips)
    max_bytes = int(total_bytes / max(images, 1) * 3 / 4)  # Base64 takes a third more.
    return [_viewer_data(clip, max_bytes) for clip in clips]


def _viewer_data(clip: ViewerClip, max_bytes: int) -> dict[str, Any]:
    source, info = read(clip.source)
    numbers = sorted({int(len(source) * part) for part in _POSITIONS})
    original = _frames_at(source, numbers)
    versions: list[tuple[Mapping[str, Any], Frames]] = [({"series": "source"}, original)]
    for row, path in clip.files:
        facts = {name: row[name] for name in ("series", "bytes", "psnr_y")}
        versions.append((facts, _decoded(path, numbers)))
    frames = []
    for index, number in enumerate(numbers):
        images = [
            _image(_picture(version, index, info.colour), max_bytes) for _, version in versions
        ]
        scores = [
            float(psnr(original.y[index : index + 1], version.y[index : index + 1])[0])
            for _, version in versions
        ]
        frames.append({"number": number, "images": images, "psnr_y": scores})
    return {
        "clip": clip.clip,
        "width": info.width,
        "height": info.height,
        "sides": [facts for facts, _ in versions],
        "frames": frames,
    }


def _decoded(path: Path, numbers: list[int]) -> Frames:
    if path.suffix == ".nvc":
        with nvcodec.open(path) as decoder:
            return decoder.planes(numbers)
    return _frames_at(read(path)[0], numbers)


def _frames_at(frames: Frames, numbers: list[int]) -> Frames:
    return Frames(
        y=frames.y[numbers],
        u=frames.u[numbers],
        v=frames.v[numbers],
        pts=frames.pts[numbers],
        durations=frames.durations[numbers],
    )


def _picture(frames: Frames, index: int, colour: Colour) -> UInt8Array:
    part = slice(index, index + 1)
    picture: UInt8Array = rgb(frames.y[part], frames.u[part], frames.v[part], colour)[0]
    return picture


def _image(picture: UInt8Array, max_bytes: int) -> str:
    """Return a picture as a data URI: lossless if that fits, else at the best quality that does."""
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(picture))
    for quality in (None, *_WEBP_QUALITIES):
        out = io.BytesIO()
        if quality is None:
            image.save(out, "WEBP", lossless=True)
        else:
            image.save(out, "WEBP", quality=quality, method=6)
        if out.tell() <= max_bytes:
            break
    return f"data:image/webp;base64,{base64.b64encode(out.getvalue()).decode()}"
