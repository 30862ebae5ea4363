"""Masks: which pixels of a video may be looked at, from a picture or a video of black and white."""

from __future__ import annotations

import os

from nvcodec.closing import Closing
from nvcodec.errors import VideoError
from nvcodec.media import BoolArray, Planes
from nvcodec.video.mask_filling import filled_picture
from nvcodec.video.source import Source, count_frames


class Mask(Closing):
    """The mask of a video, frame by frame. Make one with `open_mask`.

    Attributes:
        path: The picture, video or folder.
        size: Its width and height, samples.
    """

    def __init__(self, source: Source, *, still: bool) -> None:
        self.path = source.path
        self.size: tuple[int, int] = (source.info.width, source.info.height)
        self._source, self._still = source, still
        # Where middle grey lies: in 16 to 235, or in 0 to 255.
        self._white = 128 if source.info.colour.full_range else 126
        self._valid_mask: BoolArray | None = None
        self._last: Planes | None = None
        if still and not self._next().any():
            raise VideoError(
                f"{self.path}: expected a mask with white where pixels are known, found none "
                "lighter than middle grey"
            )

    def hide(self, picture: Planes) -> tuple[Planes, BoolArray]:
        """The next picture of the video without what its mask hides.

        Args:
            picture: y, u and v, uint8, of the mask's size.

        Returns:
            The picture, hidden samples filled in; of one that is wholly hidden the one before it.
            And which pixels are known, shape (H, W).

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
        """Release the file."""
        self._source.close()


def open_mask(
    path: str | os.PathLike[str],
    video: str | os.PathLike[str],
    *,
    frames: slice | None = None,
) -> Mask:
    """A mask opened for reading.

    Args:
        path: A picture, which then holds for all frames, or a video or folder of pictures with one
            for each; pixels are known where it is lighter than middle grey.
        video: What it is the mask of.
        frames: Frames that are taken of the video; of the mask the same are.

    Returns:
        The opened mask; a context manager.

    Raises:
        VideoError: If it cannot be read, has another number of frames, or hides everything.
    """
    total = count_frames(path)
    if total > 1 and (wanted := count_frames(video)) != total:
        raise VideoError(
            f"{path}: expected a single picture, or {wanted} frames as {video} has, found {total}"
        )
    still = total == 1
    return Mask(Source(path, frames=None if still else frames, quiet=True), still=still)
