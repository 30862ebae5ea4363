"""Video input: the next n frames of anything libav reads, upright, in planar 8-bit 4:2:0.

What leaves here is final: rotation applied, times repaired, colour named. What had to be given up
on the way is said in `Source.warnings` and logged, each thing once.
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
from nvcodec.media import BoolArray, Frames, Planes, UInt8Array, VideoInfo
from nvcodec.video import orientation, pixel_formats, stream_properties
from nvcodec.video.clock import Clock
from nvcodec.video.image_folder import ImageFolder
from nvcodec.video.libav_decoder import VideoFile
from nvcodec.video.mask_filling import resized_mask

logger = logging.getLogger(__name__)


class FrameMask(Protocol):
    """Hides pixels of a video's frames, in the order in which they are read.

    Attributes:
        path: The file or folder that it is read from.
        size: Width and height of the frames, samples.
    """

    path: Path
    size: tuple[int, int]

    def hide(self, picture: Planes) -> tuple[Planes, BoolArray]:
        """Return the next frame with hidden samples filled in, and which pixels are known."""
        ...


class Source(Closing):
    """A video being read. Make one with `open_source`.

    Attributes:
        info: Size, time base, frame rate, aspect and colour of the frames handed out.
        duration: Seconds the whole file lasts, as its header says; None where unknown.
        start_time: Time of the first frame handed out, in seconds of the source's clock.
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
        self._start, self._stop = _bounds(frames)
        if resize is not None and min(resize) < 1:
            raise ConfigError(f"resize: expected a width and height of at least 1, found {resize}")
        self._file = _open(self.path, threads)
        try:
            self._begin(resize)
        except BaseException:
            self._file.close()
            raise

    def _begin(self, resize: tuple[int, int] | None) -> None:
        self._closed = False
        self._finished = False
        self._interlaced = False
        self._end = Fraction(0)
        self._pictures: Generator[av.VideoFrame, None, None] = self._file.pictures()
        first = next(self._pictures, None)
        if first is None:
            self._finish()
            why = "; ".join(self.warnings)
            raise VideoError(
                f"{self.path}: no frame of its video stream can be decoded"
                + (f" ({why})" if why else "")
            )
        stream = self._file.stream
        folder = self._file if isinstance(self._file, ImageFolder) else None
        turn = stream_properties.orientation_of(first)
        if turn is None:
            self._warn("the display matrix is not a multiple of 90 degrees; it is not applied")
        self._orientation = turn or orientation.UPRIGHT
        stored = (first.width, first.height)
        self._stored = stored
        shown = stored[::-1] if self._orientation.transpose else stored
        if self._mask is not None and self._mask.size != shown:
            raise VideoError(
                "{}: expected a mask of {}x{}, as the pictures of {}, found {}x{}".format(
                    self._mask.path, *shown, self.path, *self._mask.size
                )
            )
        aspect = folder.sample_aspect_ratio if folder else stream.sample_aspect_ratio
        aspect = Fraction(aspect) if aspect and aspect > 0 else Fraction(1)
        if self._orientation.transpose:
            aspect = 1 / aspect
        size = resize or shown
        # A stretched picture keeps its shape on the screen.
        aspect = aspect * Fraction(shown[0] * size[1], shown[1] * size[0])
        self._colour = pixel_formats.colour_of(first, stream)
        time_base = folder.time_base if folder else stream.time_base
        self.info = VideoInfo(
            width=size[0],
            height=size[1],
            time_base=Fraction(time_base or Fraction(1, 90000)),
            frame_rate=folder.frame_rate if folder else stream_properties.frame_rate(stream),
            sample_aspect_ratio=aspect.limit_denominator(65535),
            colour=self._colour,
        )
        self._measure()
        self._clock = Clock(self.info.time_base, self.info.frame_rate)
        for note in self._file.notes:
            self._warn(note)
        self._warn_losses(first)
        self._resized = 0
        self._index = 0
        self._held: tuple[av.VideoFrame, int] | None = self._place(first)
        while self._held is not None and self._index < self._start:
            self._advance()
        if self._held is None or (self._stop is not None and self._stop <= self._start):
            raise VideoError(
                f"{self.path}: no frames in the asked range; the video has {self._index} frames"
                if self._held is None
                else f"{self.path}: the asked range of frames is empty"
            )
        self.start_time = self._held[1] * self.info.time_base

    @property
    def estimated_frames(self) -> int | None:
        """Frames `read` will give in all, guessed without decoding; None where unknown."""
        total = self._announced or None
        if total is None and self.duration is not None:
            total = max(round(self.duration * self.info.frame_rate), 1)
        if total is None:
            return None if self._stop is None else self._stop - self._start
        stop = total if self._stop is None else min(total, self._stop)
        return max(stop - self._start, 1)

    def read(self, count: int) -> Frames:
        """The next frames.

        Args:
            count: How many at most, at least 1.

        Returns:
            Up to `count` frames, fewer only at the end, none after it. Times are ticks of
            `info.time_base`; a frame's duration lasts until the next frame of the source, the
            last one's is what the source says, or the nominal one.
        """
        if count < 1:
            raise ConfigError(f"read: expected at least 1 frame, asked for {count}")
        ys: list[UInt8Array] = []
        us: list[UInt8Array] = []
        vs: list[UInt8Array] = []
        masks: list[BoolArray] = []
        pts: list[int] = []
        durations: list[int] = []
        while len(pts) < count and self._held is not None and not self._closed:
            if self._stop is not None and self._index >= self._stop:
                self._finish()
                break
            frame, time = self._held
            picture = self._convert(frame)
            width, height = self.info.width, self.info.height
            if self._mask is not None:
                # Before scaling, which mixes pixels.
                picture, valid_mask = self._mask.hide(picture)
                masks.append(resized_mask(valid_mask, width, height))
            y, u, v = pixel_formats.resize(picture, width, height, self._colour)
            ys.append(y)
            us.append(u)
            vs.append(v)
            pts.append(time)
            # libav's duration of an untimed frame is a guess of its own, at times a single tick.
            timed = frame.pts is not None and frame.duration > 0
            own = frame.duration if timed else round(self._clock.step)
            self._end = (time + own) * self.info.time_base
            self._advance()
            durations.append(own if self._held is None else self._held[1] - time)
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
        """Release the file; warnings about what was read so far are complete."""
        if not self._closed:
            self._finish()
            self._closed = True
            self._pictures.close()
            self._file.close()

    def _place(self, frame: av.VideoFrame) -> tuple[av.VideoFrame, int]:
        # Where a container stores no presentation times (AVI), decoding times come out in order.
        return frame, self._clock.place(frame.pts if frame.pts is not None else frame.dts)

    def _advance(self) -> None:
        following = next(self._pictures, None)
        self._index += 1
        self._held = None if following is None else self._place(following)
        if self._held is None:
            self._check_length()
            self._finish()

    def _measure(self) -> None:
        # Kept here since a stream must not be asked once its container is closed.
        self._own_duration = True
        self.duration: Fraction | None
        if isinstance(self._file, ImageFolder):
            self._announced = len(self._file.files)
            self.duration = self._announced / self.info.frame_rate
            return
        self._announced = self._file.stream.frames
        self.duration = stream_properties.duration(self._file.stream)
        if self.duration is None:
            self._own_duration = False
            whole = self._file.container.duration
            self.duration = Fraction(whole, 1_000_000) if whole and whole > 0 else None

    def _check_length(self) -> None:
        """Warn where a file read to its end is much shorter than its header says."""
        announced = self.duration
        if announced is None or isinstance(self._file, ImageFolder) or self._file.damage.missing:
            return
        # What the file as a whole announces may be the length of its audio.
        slack = Fraction(1, 5) if self._own_duration else Fraction(1)
        origin = self._file.container.start_time or 0
        # Some formats count from zero, some from their first packet; take the kinder reading.
        found = max(self._end, self._end - Fraction(origin, 1_000_000))
        if found < announced * Fraction(9, 10) and announced - found > slack:
            self._warn(
                f"the header announces {float(announced):.1f} s of video, "
                f"its frames end after {float(found):.1f} s"
            )

    def _convert(self, frame: av.VideoFrame) -> pixel_formats.Planes:
        """A picture upright, of the size of the first."""
        if frame.interlaced_frame and not self._interlaced:
            self._interlaced = True
            self._warn("some frames are interlaced; their fields stay woven into progressive ones")
        picture = pixel_formats.planes(frame, self._colour)
        if (frame.width, frame.height) != self._stored:
            self._resized += 1
            picture = pixel_formats.resize(picture, *self._stored, self._colour)
        turn = self._orientation
        if turn != orientation.UPRIGHT:
            picture = (turn.apply(picture[0]), turn.apply(picture[1]), turn.apply(picture[2]))
        return picture

    def _warn_losses(self, frame: av.VideoFrame) -> None:
        self._interlaced = frame.interlaced_frame
        lost = pixel_formats.losses(frame) + stream_properties.losses(frame, self._file.stream)
        if lost:
            self._warn(
                f"converted from {frame.format.name} to 8-bit 4:2:0; lost: " + ", ".join(lost)
            )

    def _finish(self) -> None:
        if self._finished:
            return
        self._finished = True
        if isinstance(self._file, VideoFile):
            found = self._file.damage.warnings(self._file.delivered)
        else:
            failed = self._file.failed
            found = [f"{failed} images could not be decoded and were left out"] if failed else []
        for line in found:
            self._warn(line)
        if hasattr(self, "_clock"):
            for line in self._clock.warnings():
                self._warn(line)
            if self._resized:
                width, height = self._stored
                self._warn(
                    f"the picture size changes mid-stream; {self._resized} frames were scaled to "
                    f"the first size, {width}x{height}"
                )

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
    """A video file, or a folder of images, opened for reading.

    Args:
        path: A file libav reads, or a folder of PNG or JPEG images taken in natural order.
        resize: Wanted (width, height) in samples, after rotation; the sample aspect ratio is
            adapted so that the picture keeps its shape. None keeps the size.
        frames: Frames to give, by display-order index; start and stop must not be negative and
            the step must be 1. None gives all.
        threads: Decoder threads, 0 for one per core. The frames do not depend on it.
        mask: What may be seen of the pictures, of their size before `resize` and not read yet. The
            rest is filled in, and the frames say which pixels are known. Stays the caller's to close.

    Returns:
        The opened source; a context manager.

    Raises:
        ConfigError: If an option cannot work.
        VideoError: If there is no decodable video, or none in the range asked for.
    """
    return Source(path, resize=resize, frames=frames, threads=threads, mask=mask)


def count_frames(path: str | os.PathLike[str]) -> int:
    """Frames of a video that can be decoded, counted by doing so; headers only announce.

    Args:
        path: As for `open_source`.

    Raises:
        VideoError: If there is no video.
    """
    file = _open(Path(path), 0)
    try:
        return sum(1 for _ in file.pictures())
    finally:
        file.close()


def _open(path: Path, threads: int) -> VideoFile | ImageFolder:
    return ImageFolder(path) if path.is_dir() else VideoFile(path, threads)


def _bounds(frames: slice | None) -> tuple[int, int | None]:
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
