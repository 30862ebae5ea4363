"""Pictures for the frame viewer: the source, a network's file and an anchor of the same bytes."""

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

_SHOWN = (1 / 6, 1 / 2, 5 / 6)  # where in a clip
_QUALITIES = (95, 92, 88, 84, 80, 70)


@dataclass(frozen=True, slots=True)
class Shown:
    """What the viewer shows of a clip.

    Attributes:
        clip: Its name.
        source: The lossless file.
        files: Encoded files by the row that tells of them: a network's, then an anchor's.
    """

    clip: str
    source: Path
    files: Sequence[tuple[Row, Path]]


def viewer(shown: Sequence[Shown], most_bytes: int) -> list[dict[str, Any]]:
    """Everything the viewer needs, pictures included, ready for JSON.

    Args:
        shown: The clips.
        most_bytes: What all pictures together may take, as data URIs.
    """
    images = sum(len(_SHOWN) * (1 + len(one.files)) for one in shown)
    allowed = int(most_bytes / max(images, 1) * 3 / 4)  # base64 takes a third more
    return [_clip(one, allowed) for one in shown]


def _clip(shown: Shown, allowed: int) -> dict[str, Any]:
    source, info = read(shown.source)
    numbers = sorted({int(len(source) * part) for part in _SHOWN})
    original = _chosen(source, numbers)
    sides: list[tuple[Mapping[str, Any], Frames]] = [({"series": "source"}, original)]
    for row, path in shown.files:
        facts = {name: row[name] for name in ("series", "bytes", "psnr_y")}
        sides.append((facts, _decoded(path, numbers)))
    frames = []
    for place, number in enumerate(numbers):
        images = [_image(_picture(side, place, info.colour), allowed) for _, side in sides]
        scores = [
            float(psnr(original.y[place : place + 1], side.y[place : place + 1])[0])
            for _, side in sides
        ]
        frames.append({"number": number, "images": images, "psnr_y": scores})
    return {
        "clip": shown.clip,
        "width": info.width,
        "height": info.height,
        "sides": [facts for facts, _ in sides],
        "frames": frames,
    }


def _decoded(path: Path, numbers: list[int]) -> Frames:
    if path.suffix == ".nvc":
        with nvcodec.open(path) as decoder:
            return decoder.planes(numbers)
    return _chosen(read(path)[0], numbers)


def _chosen(frames: Frames, numbers: list[int]) -> Frames:
    return Frames(
        y=frames.y[numbers],
        u=frames.u[numbers],
        v=frames.v[numbers],
        pts=frames.pts[numbers],
        durations=frames.durations[numbers],
    )


def _picture(frames: Frames, place: int, colour: Colour) -> UInt8Array:
    part = slice(place, place + 1)
    picture: UInt8Array = rgb(frames.y[part], frames.u[part], frames.v[part], colour)[0]
    return picture


def _image(picture: UInt8Array, allowed: int) -> str:
    """A picture as a data URI: without loss if that is small enough, else as good as fits."""
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(picture))
    for quality in (None, *_QUALITIES):
        out = io.BytesIO()
        if quality is None:
            image.save(out, "WEBP", lossless=True)
        else:
            image.save(out, "WEBP", quality=quality, method=6)
        if out.tell() <= allowed:
            break
    return f"data:image/webp;base64,{base64.b64encode(out.getvalue()).decode()}"
