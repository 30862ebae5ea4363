"""Video output: the common interface of `.mp4`, `.mkv`, `.y4m` and folders of PNG images.

Output is written under a temporary name next to the target and renamed by `close`, so the target is
always either complete or absent. While it is written its temporary file is locked. A FIFO or device
is not replaced: formats that are written front to back are written through it.
"""

from __future__ import annotations

import abc
import logging
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from nvcodec.closing import Closing
from nvcodec.errors import ConfigError, NvcodecError, OutputBusyError, OutputExistsError, VideoError
from nvcodec.files.lock import FileLock
from nvcodec.files.names import beside
from nvcodec.files.publication import publish
from nvcodec.files.target import Target, is_write_through
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
        OutputBusyError: If another process is writing to the target.
        VideoError: If its folder is missing, or no output of this kind can be written there.

    Attributes:
        path: Target file or folder.
        info: Properties of the frames.
        warnings: What this format cannot hold, in plain words.
        stored_tracks: Number of audio and subtitle tracks that the output holds.
        destination: File or folder behind symbolic links, which is replaced.
        partial: Temporary file or folder that `close` renames; the target itself if it is a FIFO or
            device.
    """

    # Whether the format is written front to back, without returning to what was written.
    _SEQUENTIAL = False

    def __init__(self, path: Path, info: VideoInfo, *, overwrite: bool) -> None:
        self.path = path
        self.info = info
        self.warnings: list[str] = []
        self.stored_tracks = 0
        self._overwrite = overwrite
        self._open = True
        self._last_pts: int | None = None
        target = Target.find(path)
        self.destination = target.destination
        self._through = target.node == "stream"
        self._lock: FileLock | None = None
        if self._through:
            if not self._SEQUENTIAL:
                raise VideoError(
                    f"{path}: cannot be written: it is a FIFO or device, through which only .y4m "
                    "is written; expected the name of a file"
                )
            self.partial = path
            return
        self.partial = beside(self.destination, prefix=".", suffix=".partial")
        self._check_target()

    def write(self, frames: Frames) -> None:
        """Append frames.

        Args:
            frames: Frames of the size `info` states, later than all frames before.

        Raises:
            VideoError: If they have another size, do not follow in time, or cannot be written.
            BrokenPipeError: If the output is a pipe whose reader is gone.
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
        except BrokenPipeError:
            raise  # the reader of a pipe is gone, which is no failure of the output
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
            if not self._through:
                self._check_target()
                self._publish()
        except OSError as error:
            self._discard()
            if isinstance(error, (NvcodecError, BrokenPipeError)):
                raise
            raise self._failed(error) from error
        except BaseException:
            self._discard()
            raise
        self._unlock()

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

    def _reserve(self) -> None:
        """Create `partial` and lock it; the last step before a subclass writes to it.

        Raises:
            OutputBusyError: If another process is writing to the target.
            VideoError: If it cannot be created.
        """
        if self._through:
            return
        try:
            self._lock = self._lock_partial()
        except BlockingIOError as error:
            raise OutputBusyError(
                f"{self.path} is being written by another process; wait until it ends, or choose "
                "another name"
            ) from error
        except OSError as error:
            raise self._failed(error) from error

    def _lock_partial(self) -> FileLock:
        """Create `partial`, without what a killed process left in it, and lock it."""
        return FileLock.of_new_file(self.partial)

    def _publish(self) -> None:
        """Rename `partial` to the target."""
        if os.name == "nt":  # renames no open file
            self._unlock()
        try:
            publish(self.partial, self.destination, overwrite=self._overwrite)
        except FileExistsError as error:
            raise self._exists() from error

    def _discard(self) -> None:
        """Remove `partial`, then let other processes write to the target."""
        if self._lock is None:
            return
        if self.partial.is_dir():
            shutil.rmtree(self.partial, ignore_errors=True)
        else:
            self.partial.unlink(missing_ok=True)
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _check_target(self) -> None:
        if not self._overwrite and os.path.lexists(self.destination):
            raise self._exists()
        if self._wants_folder() != self.destination.is_dir() and self.destination.exists():
            found = "a folder" if self.destination.is_dir() else "a file"
            raise VideoError(f"{self.path}: cannot be replaced: it is {found}")

    def _exists(self) -> OutputExistsError:
        return OutputExistsError(f"{self.path} exists; allow overwriting or choose another name")

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
                "write .mkv to keep them"
            )


def suffix_of(path: str | os.PathLike[str]) -> str:
    """Return the kind of output that a path names: `.mp4`, `.mkv`, `.y4m` or `folder`.

    Args:
        path: Target; a name without a suffix, or ending in a slash, is a folder, unless it is that
            of a FIFO or device such as `/dev/null`, which gets `.y4m`.

    Raises:
        ConfigError: If it has another suffix.
    """
    suffix = Path(path).suffix.lower()
    if suffix in (".mp4", ".mkv", ".y4m"):
        return suffix
    if not suffix and is_write_through(path):
        return ".y4m"
    if not suffix or os.fspath(path).endswith(("/", os.sep)) or Path(path).is_dir():
        return "folder"
    raise ConfigError(
        f"{path}: expected an output named .mp4, .mkv, .y4m, or a folder for PNG images; "
        f"found {suffix}"
    )
