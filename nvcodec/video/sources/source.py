"""Video input: reads the frames of any file libav decodes, upright and in planar 8-bit 4:2:0.

Rotation is applied, timestamps are repaired and colour is described. What is lost or repaired on
the way is listed in `Source.warnings` and logged once.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Generator
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
import numpy as np

from nvcodec.closing import Closing
from nvcodec.errors import ConfigError, VideoError
from nvcodec.media import BoolArray, Frames, Planes, UInt8Array
from nvcodec.video import pixel_formats
from nvcodec.video.sources import stream_properties
from nvcodec.video.sources.clock import Clock
from nvcodec.video.sources.mask_filling import resized_mask
from nvcodec.video.sources.picture_converter import PictureConverter
from nvcodec.video.sources.source_file import AnnouncedLength, open_file

logger = logging.getLogger(__name__)


class FrameMask(Protocol):
    """Masks pixels of a video's frames, in the order in which they are read.

    Attributes:
        path: File or folder from which the mask is read.
        size: Width and height of the frames, samples.
    """

    path: Path
    size: tuple[int, int]

    def hide(self, picture: Planes) -> tuple[Planes, BoolArray]:
        """Return the next frame with masked samples filled in, and its `valid_mask`."""
        ...


class Source(Closing):
    """A video opened for reading; `open_source` makes one.

    Attributes:
        info: Properties of the frames that `read` returns.
        duration: Duration of the whole file, seconds, as its header announces it; None where
            unknown.
        tags: Title, artist, comment and so on of the file, by key in lower case.
        chapters: Chapters of the whole file, on its clock.
        start_time: Time of the first frame that `read` returns, seconds of the source's clock.
        warnings: What was lost, repaired or damaged, in plain words; complete at the end.
        path: The file or folder.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        resize: tuple[int, int] | None = None,
        frames: slice | None = None,
        threads: int = 0,
        mask: FrameMask | None = None,
        quiet: bool = False,
    ) -> None:
        self.path = Path(path)
        self.warnings: list[str] = []
        self._mask, self._quiet = mask, quiet
        self._start, self._stop = _check_range(frames)
        if resize is not None and min(resize) < 1:
            raise ConfigError(f"resize: expected a width and height of at least 1, found {resize}")
        self._file = open_file(self.path, threads)
        try:
            self._begin(resize)
        except BaseException:
            self._file.close()
            raise

    def _begin(self, resize: tuple[int, int] | None) -> None:
        """Decode the first frame and skip to the first one of the range."""
        self._closed = False
        self._finished = False
        self._end = Fraction(0)
        self._pictures: Generator[av.VideoFrame, None, None] = self._file.pictures()
        first = next(self._pictures, None)
        if first is None:
            for line in self._file.damage_warnings():
                self._warn(line)
            why = "; ".join(self.warnings)
            raise VideoError(
                f"{self.path}: no frame of its video stream can be decoded"
                + (f" ({why})" if why else "")
            )
        self._converter = PictureConverter(first, self._file, self._warn)
        shown = self._converter.shown
        if self._mask is not None and self._mask.size != shown:
            raise VideoError(
                "{}: expected a mask of {}x{}, as the pictures of {}, found {}x{}".format(
                    self._mask.path, *shown, self.path, *self._mask.size
                )
            )
        self.info = self._converter.video_info(self._file, resize)
        self.tags, self.chapters = self._file.tags, self._file.chapters
        self._announced = AnnouncedLength.read(self._file)
        self.duration: Fraction | None = self._announced.duration
        self._clock = Clock(self.info.time_base, self.info.frame_rate)
        for note in self._file.notes:
            self._warn(note)
        lost = pixel_formats.losses(first) + stream_properties.losses(first, self._file.stream)
        if lost:
            self._warn(
                f"converted from {first.format.name} to 8-bit 4:2:0; lost: " + ", ".join(lost)
            )
        self._index = 0
        self._next: tuple[av.VideoFrame, int] | None = self._place(first)
        while self._next is not None and self._index < self._start:
            self._advance()
        if self._next is None or (self._stop is not None and self._stop <= self._start):
            raise VideoError(
                f"{self.path}: no frames in the range asked for; the video has {self._index} frames"
                if self._next is None
                else f"{self.path}: the range of frames asked for is empty"
            )
        self.start_time = self._next[1] * self.info.time_base

    @property
    def estimated_frames(self) -> int | None:
        """Number of frames that `read` will return in all, as the header announces it.

        None where the header does not say.
        """
        total = self._announced.frames or None
        if total is None and self.duration is not None:
            total = max(round(self.duration * self.info.frame_rate), 1)
        if total is None:
            return None if self._stop is None else self._stop - self._start
        stop = total if self._stop is None else min(total, self._stop)
        return max(stop - self._start, 1)

    def read(self, count: int) -> Frames:
        """Read the next frames.

        Args:
            count: Maximum number of frames, at least 1.

        Returns:
            Up to `count` frames, fewer only at the end, none after it. Timestamps are ticks of
            `info.time_base`. A frame lasts until the next frame of the source; the last one has the
            duration the source states, or the nominal one.

        Raises:
            ConfigError: If `count` is less than 1.
        """
        if count < 1:
            raise ConfigError(f"read: expected at least 1 frame, asked for {count}")
        ys: list[UInt8Array] = []
        us: list[UInt8Array] = []
        vs: list[UInt8Array] = []
        masks: list[BoolArray] = []
        pts: list[int] = []
        durations: list[int] = []
        while len(pts) < count and self._next is not None and not self._closed:
            if self._stop is not None and self._index >= self._stop:
                self._finish()
                break
            frame, time = self._next
            picture = self._converter.planes(frame)
            width, height = self.info.width, self.info.height
            if self._mask is not None:
                # Masking precedes scaling, which would mix masked and valid pixels.
                picture, valid_mask = self._mask.hide(picture)
                masks.append(resized_mask(valid_mask, width, height))
            y, u, v = pixel_formats.resize(picture, width, height, self.info.colour)
            ys.append(y)
            us.append(u)
            vs.append(v)
            pts.append(time)
            # libav guesses the duration of a frame without a timestamp, at times as a single tick.
            timed = frame.pts is not None and frame.duration > 0
            own = frame.duration if timed else round(self._clock.step)
            self._end = (time + own) * self.info.time_base
            self._advance()
            durations.append(own if self._next is None else self._next[1] - time)
        if not pts:
            w, h = self.info.width, self.info.height
            empty = np.empty((0, h, w), np.uint8)
            half = np.empty((0, (h + 1) // 2, (w + 1) // 2), np.uint8)
            none = np.empty(0, np.int64)
            return Frames(y=empty, u=half, v=half.copy(), pts=none, durations=none.copy())
        return Frames(
            y=np.stack(ys),
            u=np.stack(us),
            v=np.stack(vs),
            pts=np.array(pts, np.int64),
            durations=np.array(durations, np.int64),
            valid_mask=np.stack(masks) if masks else None,
        )

    def close(self) -> None:
        """Close the file and complete the warnings about the frames read so far."""
        if not self._closed:
            self._finish()
            self._closed = True
            self._pictures.close()
            self._file.close()

    def _place(self, frame: av.VideoFrame) -> tuple[av.VideoFrame, int]:
        # A container without presentation times (AVI) gives decoding times in display order.
        return frame, self._clock.place(frame.pts if frame.pts is not None else frame.dts)

    def _advance(self) -> None:
        picture = next(self._pictures, None)
        self._index += 1
        self._next = None if picture is None else self._place(picture)
        if self._next is None:
            for line in self._announced.warnings(self._file, self._end):
                self._warn(line)
            self._finish()

    def _finish(self) -> None:
        """Complete the warnings, once."""
        if self._finished:
            return
        self._finished = True
        lines = self._file.damage_warnings() + self._clock.warnings() + self._converter.warnings()
        for line in lines:
            self._warn(line)

    def _warn(self, line: str) -> None:
        self.warnings.append(line)
        if not self._quiet:
            logger.warning("%s: %s", self.path, line)


def open_source(
    path: str | os.PathLike[str],
    *,
    resize: tuple[int, int] | None = None,
    frames: slice | None = None,
    threads: int = 0,
    mask: FrameMask | None = None,
) -> Source:
    """Open a video file, or a folder of images, for reading.

    Args:
        path: A file libav reads, or a folder of PNG or JPEG images, read in natural order.
        resize: Target (width, height) in samples, after rotation; the sample aspect ratio is
            adapted so that the picture keeps its shape. None keeps the size.
        frames: Range of frames to read, by display-order index; start and stop must not be negative
            and the step must be 1. None reads all.
        threads: Decoder threads, 0 for one per core. The frames do not depend on it.
        mask: Mask of the pictures, of their size before `resize`, from which nothing was read yet.
            Masked pixels are filled in, and `Frames.valid_mask` marks the valid ones. The caller
            closes it.

    Returns:
        The opened source; a context manager.

    Raises:
        ConfigError: If an option cannot work.
        VideoError: If there is no decodable video, or none in the range asked for.
    """
    return Source(path, resize=resize, frames=frames, threads=threads, mask=mask)


def _check_range(frames: slice | None) -> tuple[int, int | None]:
    """Check a range of frames and return its start and stop."""
    if frames is None:
        return 0, None
    start, stop = frames.start or 0, frames.stop
    if frames.step not in (None, 1) or start < 0 or (stop is not None and stop < 0):
        raise ConfigError(
            f"frames: expected A:B with 0 <= A < B, found {start}:{'' if stop is None else stop}"
        )
    if stop is not None and stop <= start:
        raise ConfigError(f"frames: expected A:B with A < B, found {start}:{stop}")
    return start, stop
