"""YUV4MPEG2 output: a header line, then the planes unchanged.

The format has a fixed frame rate and no colour matrix. Chroma is declared as sited left
(`420mpeg2`), and the range by the extension that common readers support.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from nvcodec.media import Frames, VideoInfo
from nvcodec.video.sinks.sink import Sink


class Y4mSink(Sink):
    """A `.y4m` file being written.

    Args:
        path: Target file.
        info: Properties of the frames.
        tracks: Number of tracks, which this format cannot store.
        overwrite: Whether an existing target is replaced.
    """

    _SEQUENTIAL = True

    def __init__(self, path: Path, info: VideoInfo, *, tracks: int, overwrite: bool) -> None:
        super().__init__(path, info, overwrite=overwrite)
        self._irregular = False
        self._first: int | None = None
        self._count = 0
        self._warn_tracks(tracks)
        rate, aspect = info.frame_rate, info.sample_aspect_ratio
        header = (
            f"YUV4MPEG2 W{info.width} H{info.height} F{rate.numerator}:{rate.denominator} Ip "
            f"A{aspect.numerator}:{aspect.denominator} C420mpeg2 XYSCSS=420MPEG2 "
            f"XCOLORRANGE={'FULL' if info.colour.full_range else 'LIMITED'}\n"
        )
        self._reserve()
        try:
            self._file = self._create()
            self._file.write(header.encode("ascii"))
        except BrokenPipeError:
            raise
        except OSError as error:
            self._discard()
            raise self._failed(error) from error

    def _create(self) -> BinaryIO:
        return open(self.partial, "wb")

    def _write(self, frames: Frames) -> None:
        tick = 1 / (self.info.frame_rate * self.info.time_base)
        for index, pts in enumerate(frames.pts.tolist()):
            if self._first is None:
                self._first = pts
            # Containers round timestamps to their ticks; only half a frame is a real difference.
            self._irregular |= abs(pts - self._first - self._count * tick) > max(tick / 2, 1)
            self._count += 1
            self._file.write(b"FRAME\n")
            for plane in (frames.y, frames.u, frames.v):
                self._file.write(plane[index].tobytes())

    def _finish(self) -> None:
        self._file.close()
        self._warn_irregular()

    def _warn_irregular(self) -> None:
        if self._irregular:
            self._warn("the frames are not evenly spaced; .y4m keeps only the nominal frame rate")

    def _cancel(self) -> None:
        try:
            self._file.close()
        except OSError:
            # A full disk cannot flush the file, which is about to be deleted anyway.
            return


class Y4mPipe(Y4mSink):
    """Frames written as `.y4m` to an open file, such as a pipe, as soon as they come.

    Args:
        pipe: Binary file, which stays open.
        info: Properties of the frames.
        tracks: Number of tracks, which this format cannot store.
    """

    def __init__(self, pipe: BinaryIO, info: VideoInfo, *, tracks: int) -> None:
        self._pipe = pipe
        super().__init__(Path("standard output"), info, tracks=tracks, overwrite=True)

    def _create(self) -> BinaryIO:
        return self._pipe

    def _write(self, frames: Frames) -> None:
        super()._write(frames)
        self._pipe.flush()

    def _finish(self) -> None:
        self._pipe.flush()
        self._warn_irregular()

    def _cancel(self) -> None:
        """Leave what was written, because its reader has it already."""

    def _reserve(self) -> None:
        """Lock nothing: the pipe has no name."""

    def _check_target(self) -> None:
        """Accept the pipe: it has no name that something else could have."""

    def _publish(self) -> None:
        """Leave the pipe as it is."""

    def _discard(self) -> None:
        """Leave the pipe as it is."""
