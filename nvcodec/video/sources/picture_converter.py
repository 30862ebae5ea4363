"""Conversion of a video's decoded pictures to upright 8-bit 4:2:0 planes of one size and colour."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import av

from nvcodec.media import Planes, VideoInfo
from nvcodec.video import pixel_formats
from nvcodec.video.sources import orientation, stream_properties
from nvcodec.video.sources.frame_rate import frame_rate
from nvcodec.video.sources.image_folder import ImageFolder
from nvcodec.video.sources.libav_decoder import VideoFile


class PictureConverter:
    """Converts decoded pictures to upright planes of the size and colour of the first picture.

    Args:
        first: First decoded picture of the video.
        file: The file it was decoded from.
        warn: Called with a warning in one line.

    Attributes:
        colour: Colour of the planes.
        shown: Width and height of the upright planes, samples.
    """

    def __init__(
        self, first: av.VideoFrame, file: VideoFile | ImageFolder, warn: Callable[[str], None]
    ) -> None:
        self._warn = warn
        self._slanted = False
        self._orientation = self._turn(first)
        self._transposed = self._orientation.transpose
        size = file.crop.size(first.width, first.height)
        self._crop = file.crop if size else None
        stored = size or (first.width, first.height)
        self.shown = stored[::-1] if self._transposed else stored
        self.colour = pixel_formats.colour_of(first, file.stream)
        self._interlaced = first.interlaced_frame
        self._scaled = 0

    def video_info(
        self, file: VideoFile | ImageFolder, resize: tuple[int, int] | None
    ) -> VideoInfo:
        """Return the properties of the video after conversion and scaling.

        Args:
            file: The file of the video.
            resize: Target (width, height) in samples; None keeps the size.
        """
        folder = file if isinstance(file, ImageFolder) else None
        stream, shown = file.stream, self.shown
        stored_aspect = folder.sample_aspect_ratio if folder else stream.sample_aspect_ratio
        aspect = Fraction(stored_aspect) if stored_aspect and stored_aspect > 0 else Fraction(1)
        if self._transposed:
            aspect = 1 / aspect
        size = resize or shown
        # A picture that is stretched keeps its shape on the screen.
        aspect = aspect * Fraction(shown[0] * size[1], shown[1] * size[0])
        time_base = folder.time_base if folder else stream.time_base
        return VideoInfo(
            width=size[0],
            height=size[1],
            time_base=Fraction(time_base or Fraction(1, 90000)),
            frame_rate=file.frame_rate if isinstance(file, ImageFolder) else frame_rate(file),
            sample_aspect_ratio=aspect.limit_denominator(65535),
            colour=self.colour,
        )

    def planes(self, frame: av.VideoFrame) -> Planes:
        """Convert a picture.

        Args:
            frame: Decoded picture of any size and pixel format.

        Returns:
            y (H, W), u and v (ceil(H / 2), ceil(W / 2)), uint8, upright, of the size `shown`.
        """
        if frame.interlaced_frame and not self._interlaced:
            self._interlaced = True
            self._warn("some frames are interlaced; their fields stay woven into progressive ones")
        picture = pixel_formats.planes(frame, self.colour)
        if self._crop is not None:
            picture = self._crop.apply(picture)
        if frame.key_frame or frame.opaque is not None:
            # Images of a folder, and now and then parts of a video, differ in how they are turned.
            self._orientation = self._turn(frame)
        turn = self._orientation
        if turn != orientation.UPRIGHT:
            picture = (turn.apply(picture[0]), turn.apply(picture[1]), turn.apply(picture[2]))
        if picture[0].shape != self.shown[::-1]:
            self._scaled += 1
            picture = pixel_formats.resize(picture, *self.shown, self.colour)
        return picture

    def warnings(self) -> list[str]:
        """Return a line about pictures of another size than the first, or none."""
        if not self._scaled:
            return []
        width, height = self.shown
        line = (
            f"the picture size changes mid-stream; {self._scaled} frames were scaled to "
            f"the first size, {width}x{height}"
        )
        return [line]

    def _turn(self, frame: av.VideoFrame) -> orientation.Orientation:
        """Return the orientation of a picture; a slanted one, with a warning, counts as upright."""
        turn = stream_properties.orientation_of(frame)
        if turn is None and not self._slanted:
            self._slanted = True
            self._warn("the display matrix is not a multiple of 90 degrees; it is not applied")
        return turn or orientation.UPRIGHT
