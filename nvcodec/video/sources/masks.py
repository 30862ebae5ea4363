"""Masks of a video: read which pixels are valid from a black and white picture or video."""

from __future__ import annotations

import os

from nvcodec.closing import Closing
from nvcodec.errors import VideoError
from nvcodec.media import BoolArray, Planes
from nvcodec.video.sources.mask_filling import filled_picture
from nvcodec.video.sources.source import Source
from nvcodec.video.sources.source_file import count_frames


class Mask(Closing):
    """The mask of a video, read frame by frame; `open_mask` makes one.

    Attributes:
        path: Picture, video or folder of the mask.
        size: Width and height of the mask, samples.
    """

    def __init__(self, source: Source, *, still: bool) -> None:
        self.path = source.path
        self.size: tuple[int, int] = (source.info.width, source.info.height)
        self._source, self._still = source, still
        # Middle grey of the range 0 to 255, or 16 to 235.
        self._white = 128 if source.info.colour.full_range else 126
        self._valid_mask: BoolArray | None = None
        self._last: Planes | None = None
        if still and not self._next().any():
            raise VideoError(
                f"{self.path}: expected a mask with white where pixels are valid, found none "
                "lighter than middle grey"
            )

    def hide(self, picture: Planes) -> tuple[Planes, BoolArray]:
        """Fill the masked samples of the next picture of the video.

        Args:
            picture: y (H, W), u and v (ceil(H / 2), ceil(W / 2)), uint8, of the mask's size.

        Returns:
            The picture with masked samples filled in, and its `valid_mask`, True for valid pixels,
            shape (H, W). A picture without valid pixels is replaced by the one before it.

        Raises:
            VideoError: If the mask has no more frames.
        """
        valid_mask = self._next()
        if valid_mask.any() or self._last is None:
            self._last = filled_picture(picture, valid_mask)
        return self._last, valid_mask

    def _next(self) -> BoolArray:
        if self._valid_mask is None or not self._still:
            frames = self._source.read(1)
            if not len(frames):
                raise VideoError(f"{self.path}: the mask ends before the video does")
            self._valid_mask = frames.y[0] >= self._white
        return self._valid_mask

    def close(self) -> None:
        """Close the file of the mask."""
        self._source.close()


def open_mask(
    path: str | os.PathLike[str],
    video: str | os.PathLike[str],
    *,
    frames: slice | None = None,
) -> Mask:
    """Open a mask for reading.

    Args:
        path: A picture, which masks all frames alike, or a video or folder of pictures with one per
            frame. Pixels are valid where it is lighter than middle grey.
        video: The video to which the mask belongs.
        frames: Range of frames that is read of the video, and hence of the mask; None for all.

    Returns:
        The opened mask; a context manager.

    Raises:
        VideoError: If it cannot be read, has another number of frames, or hides everything.
    """
    total = count_frames(path)
    if total > 1 and (expected := count_frames(video)) != total:
        raise VideoError(
            f"{path}: expected a single picture, or {expected} frames as {video} has, found {total}"
        )
    still = total == 1
    return Mask(Source(path, frames=None if still else frames, quiet=True), still=still)
