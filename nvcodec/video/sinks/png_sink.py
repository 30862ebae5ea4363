"""Output to a folder of PNG images, `000000.png` onward, with timestamps in `timestamps.txt`."""

from __future__ import annotations

import os
import shutil
from fractions import Fraction
from pathlib import Path

import av

from nvcodec.errors import VideoError
from nvcodec.files.lock import FileLock
from nvcodec.files.names import beside
from nvcodec.files.publication import hand_on_permissions
from nvcodec.media import Frames, VideoInfo
from nvcodec.video.colour import rgb
from nvcodec.video.sinks.sink import Sink
from nvcodec.video.sources.image_folder import TIMESTAMPS


class PngSink(Sink):
    """A folder of PNG images being written, under a temporary name until it is complete.

    An existing folder is replaced only if it holds nothing but images and `timestamps.txt`.

    Args:
        path: Target folder.
        info: Properties of the frames.
        tracks: Number of tracks, which this format cannot store.
        overwrite: Whether an existing target is replaced.
    """

    def __init__(self, path: Path, info: VideoInfo, *, tracks: int, overwrite: bool) -> None:
        super().__init__(path, info, overwrite=overwrite)
        self._count = 0
        self._lines = [
            "# frame pts duration",
            f"# time_base {info.time_base}",
            f"# frame_rate {info.frame_rate}",
            f"# sample_aspect_ratio {info.sample_aspect_ratio}",
        ]
        self._warn_tracks(tracks)
        self._reserve()

    def _write(self, frames: Frames) -> None:
        for t in range(len(frames)):
            single = slice(t, t + 1)
            picture = rgb(frames.y[single], frames.u[single], frames.v[single], self.info.colour)[0]
            name = f"{self._count:06d}.png"
            (self.partial / name).write_bytes(_png(av.VideoFrame.from_ndarray(picture, "rgb24")))
            self._lines.append(f"{self._count:06d} {frames.pts[t]} {frames.durations[t]}")
            self._count += 1

    def _finish(self) -> None:
        (self.partial / TIMESTAMPS).write_text("\n".join(self._lines) + "\n", encoding="utf-8")

    def _cancel(self) -> None:
        return

    def _lock_partial(self) -> FileLock:
        lock = FileLock(self.partial, folder=True)
        for left in self.partial.iterdir():
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
            else:
                left.unlink()
        return lock

    def _publish(self) -> None:
        if not self._overwrite:
            super()._publish()
            return
        old = beside(self.destination, prefix=".", suffix=".old")
        if not self.destination.is_dir():
            super()._publish()
            shutil.rmtree(old, ignore_errors=True)  # of a run that was killed between two renames
            return
        # A folder cannot be replaced in one step: the old one is renamed, and restored on an error.
        hand_on_permissions(self.destination, self.partial)
        shutil.rmtree(old, ignore_errors=True)
        os.replace(self.destination, old)
        try:
            os.replace(self.partial, self.destination)
        except OSError:
            os.replace(old, self.destination)
            raise
        shutil.rmtree(old, ignore_errors=True)

    def _check_target(self) -> None:
        # An empty folder counts as absent: people often make the output folder first.
        if self.destination.is_dir() and not any(self.destination.iterdir()):
            return
        super()._check_target()
        if self.destination.is_dir():
            other = [
                p.name
                for p in self.destination.iterdir()
                if p.is_dir() or (p.suffix.lower() != ".png" and p.name != TIMESTAMPS)
            ]
            if other:
                raise VideoError(
                    f"{self.path}: will not be replaced: it holds {min(other)!r}, "
                    "which is not an image of an earlier run"
                )

    def _wants_folder(self) -> bool:
        return True


def _png(frame: av.VideoFrame) -> bytes:
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, "rgb24"
    encoder.time_base = Fraction(1, 25)
    # With frame threads the encoder would hold back the only frame.
    encoder.thread_count = 1
    frame.pts = 0
    return b"".join(bytes(p) for p in (*encoder.encode(frame), *encoder.encode(None)))
