"""Reading of a folder of still images as a video: one image per frame, in natural order.

Hidden files do not count. Each image is turned upright by itself.

The file `timestamps.txt`, which PNG output writes next to its images, holds the timestamps; without
it the frames are 1/25 of a second apart.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Generator, Iterator
from fractions import Fraction
from pathlib import Path

import av

from nvcodec.errors import VideoError
from nvcodec.media import Chapter
from nvcodec.video.sources.cropping import Crop
from nvcodec.video.sources.libav_decoder import VideoFile

logger = logging.getLogger(__name__)

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".avif", ".heic", ".heif"}
)
TIMESTAMPS = "timestamps.txt"


def files_read(path: Path) -> Iterator[Path]:
    """Yield the files of a folder that are read as a video; nothing for a file.

    Args:
        path: File, or folder of images.
    """
    if not path.is_dir():
        return
    for file in path.iterdir():
        if _is_image(file) or (file.name == TIMESTAMPS and file.is_file()):
            yield file


def natural_key(path: Path) -> list[tuple[int, str]]:
    """Return a sort key that places `frame9.png` before `frame10.png`."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in _parts(path.name)]


class ImageFolder:
    """Images of a folder, read one at a time.

    Args:
        path: Path of the folder.

    Raises:
        VideoError: If it holds no image, or its first image or its timestamps cannot be read.

    Attributes:
        files: Paths of the images in display order.
        pts: Timestamp of each image, ticks.
        durations: Duration of each image, ticks, 0 where unknown.
        time_base: Seconds per tick.
        frame_rate: Frames per second.
        sample_aspect_ratio: Width over height of one sample.
        stream: Video stream of the first image, for its properties.
        crop: Without effect: images ask for no cropping.
        tags: None: images have tags of their own, which are not kept.
        chapters: None.
        notes: Warnings about the folder as a whole.
        failed: Number of images that could not be decoded so far.
        delivered: Number of images decoded so far.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = sorted(
            (p for p in path.iterdir() if _is_image(p)),
            key=natural_key,
        )
        if not self.files:
            raise VideoError(f"{path}: expected a video or a folder of images, found no image")
        self.notes: list[str] = []
        self.failed = 0
        self.delivered = 0
        self.time_base = Fraction(1, 25)
        self.frame_rate = Fraction(25)
        self.sample_aspect_ratio = Fraction(1)
        self.pts: list[int | None] = list(range(len(self.files)))
        self.durations = [0] * len(self.files)
        times = path / TIMESTAMPS
        if times.is_file():
            self._read_times(times)
        first = VideoFile(self.files[0], 1)
        self.stream = first.stream
        self.crop = Crop()
        self.tags: dict[str, str] = {}
        self.chapters: tuple[Chapter, ...] = ()
        self._first = first

    def pictures(self) -> Generator[av.VideoFrame, None, None]:
        """Decode the images that can be decoded, with their timestamps."""
        for index, file in enumerate(self.files):
            try:
                image = VideoFile(file, 1)
                picture = next(image.pictures(), None)
                image.close()
            except VideoError:
                picture = None
            if picture is None:
                self.failed += 1
                continue
            picture.pts = self.pts[index]
            picture.duration = self.durations[index]
            self.delivered += 1
            yield picture

    def damage_warnings(self) -> list[str]:
        """Return a line about the images that could not be decoded so far, or none."""
        if not self.failed:
            return []
        return [f"{self.failed} images could not be decoded and were left out"]

    def close(self) -> None:
        """Close the first image; a second call does nothing."""
        self._first.close()

    def _read_times(self, path: Path) -> None:
        header: dict[str, Fraction] = {}
        rows: list[tuple[int, int]] = []
        try:
            for line in path.read_text(encoding="utf-8").splitlines():
                words = line.split()
                if line.startswith("#"):
                    if len(words) == 3:
                        header[words[1]] = Fraction(words[2])
                elif len(words) >= 3:
                    rows.append((int(words[1]), int(words[2])))
            time_base, rate = header["time_base"], header["frame_rate"]
            aspect = header["sample_aspect_ratio"]
            if min(time_base, rate, aspect) <= 0:
                raise ValueError("not positive")
        except (ValueError, KeyError, ZeroDivisionError) as error:
            raise VideoError(f"{path}: expected timestamps as written by nvcodec: {error}") from (
                error
            )
        if len(rows) != len(self.files):
            self.notes.append(
                f"{path.name} lists {len(rows)} frames for {len(self.files)} images; it is ignored"
            )
            return
        self.time_base, self.frame_rate, self.sample_aspect_ratio = time_base, rate, aspect
        self.pts = [pts for pts, _ in rows]
        self.durations = [duration for _, duration in rows]


def _is_image(path: Path) -> bool:
    # Hidden files are no pictures: macOS leaves `._NAME` beside each file on foreign disks.
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def _parts(name: str) -> list[str]:
    return [part for part in re.split(r"(\d+)", name) if part]
