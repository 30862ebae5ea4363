"""Output to a folder of PNG images, `000000.png` onward, with timestamps in `timestamps.txt`."""

from __future__ import annotations

import os
import shutil
from fractions import Fraction
from pathlib import Path

import av

from nvcodec.errors import VideoError
from nvcodec.media import Frames, VideoInfo
from nvcodec.video.colour import rgb
from nvcodec.video.image_folder import TIMESTAMPS
from nvcodec.video.sink import Sink


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
        try:
            self._discard()
            self.partial.mkdir()
        except OSError as error:
            raise self._failed(error) from error

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

    def _publish(self) -> None:
        if not self.path.is_dir():
            os.replace(self.partial, self.path)
            return
        # A folder cannot be replaced in one step: the old one is renamed, and restored on an error.
        old = self.path.with_name(f".{self.path.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        os.replace(self.path, old)
        try:
            os.replace(self.partial, self.path)
        except OSError:
            os.replace(old, self.path)
            raise
        shutil.rmtree(old, ignore_errors=True)

    def _check_target(self) -> None:
        # An empty folder counts as absent: people often make the output folder first.
        if self.path.is_dir() and not any(self.path.iterdir()):
            return
        super()._check_target()
        if self.path.is_dir():
            other = [
                p.name
                for p in self.path.iterdir()
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
