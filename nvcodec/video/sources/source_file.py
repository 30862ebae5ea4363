"""Opening of a video file or image folder, and the length that its header announces."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from nvcodec.video.sources import stream_properties
from nvcodec.video.sources.image_folder import ImageFolder
from nvcodec.video.sources.libav_decoder import VideoFile


def open_file(path: Path, threads: int) -> VideoFile | ImageFolder:
    """Open a video file or a folder of images.

    Args:
        path: File or folder.
        threads: Decoder threads, 0 for one per core.

    Raises:
        VideoError: If there is no video, or it cannot be read.
    """
    return ImageFolder(path) if path.is_dir() else VideoFile(path, threads)


def count_frames(path: str | os.PathLike[str]) -> int:
    """Count the frames of a video by decoding them; a header may announce another number.

    Args:
        path: A file libav reads, or a folder of PNG or JPEG images.

    Raises:
        VideoError: If there is no video.
    """
    file = open_file(Path(path), 0)
    try:
        return sum(1 for _ in file.pictures())
    finally:
        file.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncedLength:
    """Length of a video as the header of its file announces it.

    Attributes:
        frames: Number of frames, 0 where unknown.
        duration: Duration, seconds; None where unknown.
        of_stream: Whether the duration is that of the video stream. If not, it is that of the whole
            file, which may be longer because of its audio.
    """

    frames: int
    duration: Fraction | None
    of_stream: bool = True

    @classmethod
    def read(cls, file: VideoFile | ImageFolder) -> AnnouncedLength:
        """Read the length of a file while it is open; closed streams must not be asked."""
        if isinstance(file, ImageFolder):
            return cls(frames=len(file.files), duration=len(file.files) / file.frame_rate)
        frames, duration = file.stream.frames, stream_properties.duration(file.stream)
        if file.jumps.duration is not None:
            return cls(frames=frames, duration=file.jumps.duration, of_stream=False)
        if duration is not None:
            return cls(frames=frames, duration=duration)
        whole = file.container.duration
        duration = Fraction(whole, 1_000_000) if whole and whole > 0 else None
        return cls(frames=frames, duration=duration, of_stream=False)

    def warnings(self, file: VideoFile | ImageFolder, end: Fraction) -> list[str]:
        """Return a line if a file that was read to its end is much shorter than announced, or none.

        Args:
            file: The file, still open.
            end: Time at which its last frame ends, seconds.
        """
        announced = self.duration
        if announced is None or isinstance(file, ImageFolder) or file.damage.missing:
            return []
        slack = Fraction(1, 5) if self.of_stream else Fraction(1)
        origin = file.container.start_time or 0
        # Some formats count from zero, others from their first packet; the longer reading is taken.
        decoded = max(end, end - Fraction(origin, 1_000_000))
        if decoded < announced * Fraction(9, 10) and announced - decoded > slack:
            line = (
                f"the header announces {float(announced):.1f} s of video, "
                f"its frames end after {float(decoded):.1f} s"
            )
            return [line]
        return []
