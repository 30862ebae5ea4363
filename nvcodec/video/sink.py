"""Video output: the common interface of `.mp4`, `.mkv`, `.y4m` and folders of PNG images.

Output is written under a temporary name next to the target and renamed by `close`, so the target is
always either complete or absent.
"""

from __future__ import annotations

import abc
import logging
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from nvcodec.closing import Closing
from nvcodec.errors import ConfigError, OutputExistsError, VideoError
from nvcodec.media import Frames, Packet, VideoInfo

logger = logging.getLogger(__name__)


class Sink(Closing, abc.ABC):
    """A video being written.

    Leaving a `with` block closes the sink, or aborts it if the block raised.

    Args:
        path: Target file or folder.
        info: Properties of the frames.
        overwrite: Whether an existing target is replaced.

    Raises:
        OutputExistsError: If the target exists and must not be replaced.
        VideoError: If its folder is missing.

    Attributes:
        path: Target file or folder.
        info: Properties of the frames.
        warnings: What this format cannot hold, in plain words.
        partial: Temporary file or folder that `close` renames.
    """

    def __init__(self, path: Path, info: VideoInfo, *, overwrite: bool) -> None:
        self.path = path
        self.info = info
        self.warnings: list[str] = []
        self.partial = path.with_name(f".{path.name}.partial")
        self._overwrite = overwrite
        self._open = True
        self._last_pts: int | None = None
        self._check_target()
        if not path.parent.is_dir():
            raise VideoError(f"{path}: cannot be written: its folder does not exist")

    def write(self, frames: Frames) -> None:
        """Append frames.

        Args:
            frames: Frames of the size `info` states, later than all frames before.

        Raises:
            VideoError: If they have another size, do not follow in time, or cannot be written.
        """
        expected = (self.info.height, self.info.width)
        if frames.y.shape[1:] != expected:
            raise VideoError(
                f"{self.path}: expected frames of {expected[1]}x{expected[0]}, "
                f"found {frames.y.shape[2]}x{frames.y.shape[1]}"
            )
        for pts in frames.pts.tolist():
            if self._last_pts is not None and pts <= self._last_pts:
                raise VideoError(f"{self.path}: frame time {pts} is not after {self._last_pts}")
            self._last_pts = pts
        try:
            self._write(frames)
        except OSError as error:
            raise self._failed(error) from error

    def write_packets(self, track: int, packets: Iterable[Packet]) -> None:
        """Append packets of a track, in order; formats without tracks drop them.

        Opening a sink of such a format warns about the tracks that it drops.

        Args:
            track: Index of the track among those the sink was opened with.
            packets: Packets in stored order.

        Raises:
            VideoError: If they cannot be written.
        """

    def close(self) -> None:
        """Finish the output and rename it to the target; a second call does nothing.

        Raises:
            OutputExistsError: If the target appeared meanwhile and must not be replaced.
            VideoError: If the output cannot be finished, in which case nothing is left behind.
        """
        if not self._open:
            return
        self._open = False
        try:
            if self._last_pts is None:
                self._cancel()
                raise VideoError(f"{self.path}: not written: it got no frames")
            self._finish()
            self._check_target()
            self._publish()
        except OSError as error:
            self._discard()
            if isinstance(error, OutputExistsError):
                raise
            raise self._failed(error) from error
        except BaseException:
            self._discard()
            raise

    def abort(self) -> None:
        """Stop writing and remove what was written; does nothing after `close` or `abort`."""
        if self._open:
            self._open = False
            self._cancel()
            self._discard()

    def _close_after_error(self) -> None:
        self.abort()

    @abc.abstractmethod
    def _write(self, frames: Frames) -> None:
        """Append frames that were checked."""

    @abc.abstractmethod
    def _finish(self) -> None:
        """Complete `partial`."""

    @abc.abstractmethod
    def _cancel(self) -> None:
        """Close open files without completing `partial`."""

    def _publish(self) -> None:
        """Rename `partial` to the target."""
        os.replace(self.partial, self.path)

    def _discard(self) -> None:
        if self.partial.is_dir():
            shutil.rmtree(self.partial, ignore_errors=True)
        else:
            self.partial.unlink(missing_ok=True)

    def _check_target(self) -> None:
        if not self._overwrite and os.path.lexists(self.path):
            raise OutputExistsError(f"{self.path} exists; allow overwriting or choose another name")
        if self._wants_folder() != self.path.is_dir() and self.path.exists():
            found = "a folder" if self.path.is_dir() else "a file"
            raise VideoError(f"{self.path}: cannot be replaced: it is {found}")

    def _wants_folder(self) -> bool:
        return False

    def _failed(self, error: OSError) -> VideoError:
        reason = error.strerror or str(error)
        return VideoError(f"{self.path}: cannot be written: {reason}")

    def _warn(self, line: str) -> None:
        self.warnings.append(line)
        logger.warning("%s: %s", self.path, line)

    def omit_metadata(self) -> None:
        """Warn that this format does not store the tags and chapters of the video."""
        self._warn(
            "tags and chapters are not stored in this format; write .mkv or .mp4 to keep them"
        )

    def _warn_tracks(self, count: int) -> None:
        if count:
            self._warn(
                f"{count} audio or subtitle tracks are not stored in this format; "
                "write .mkv or .mp4 to keep them"
            )


def suffix_of(path: str | os.PathLike[str]) -> str:
    """Return the kind of output that a path names: `.mp4`, `.mkv`, `.y4m` or `folder`.

    Args:
        path: Target; a name without a suffix, or ending in a slash, is a folder.

    Raises:
        ConfigError: If it has another suffix.
    """
    suffix = Path(path).suffix.lower()
    if suffix in (".mp4", ".mkv", ".y4m"):
        return suffix
    if not suffix or os.fspath(path).endswith(("/", os.sep)) or Path(path).is_dir():
        return "folder"
    raise ConfigError(
        f"{path}: expected an output named .mp4, .mkv, .y4m, or a folder for PNG images; "
        f"found {suffix}"
    )
