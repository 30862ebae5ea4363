"""The partial file of an encode: written beside its target, resumable, renamed when finished.

`<target>.partial` holds every finished segment. `<target>.partial.json` holds the identity of the
encode, so that only the same encode can resume it. If an encode of several files is interrupted
during the renames, a target whose identity file still exists is finished.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from nvcodec.container import Reader, Writer
from nvcodec.errors import BitstreamError, ConfigError, NvcodecError, OutputExistsError, VideoError

logger = logging.getLogger(__name__)


class PartialFile:
    """The partial file of one target.

    Args:
        target: Path of the finished file.

    Attributes:
        target: Path of the finished file.
        path: Path of the partial file.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(target.name + ".partial")
        self._identity_file = target.with_name(target.name + ".partial.json")
        self._overwrite = False
        self._owned = False

    @property
    def resumable(self) -> bool:
        """Whether an interrupted encode has left a file that can be resumed."""
        return self.path.exists() or self._published

    @property
    def _published(self) -> bool:
        """Whether the finished file has its name, but its encode was interrupted after that."""
        return self.target.exists() and self._identity_file.exists() and not self.path.exists()

    def check_target(self, source: Path, *, resume: bool, overwrite: bool) -> None:
        """Check that the encode destroys no file.

        Args:
            source: Path of the video.
            resume: Whether to resume an interrupted encode.
            overwrite: Whether to replace existing files.

        Raises:
            OutputExistsError: If the target or an interrupted encode exists and must not be
                replaced.
            ConfigError: If the source would be overwritten.
            VideoError: If the folder of the target is missing, or the target is a folder.
        """
        if not self.target.parent.is_dir():
            raise VideoError(f"{self.target}: cannot be written: its folder does not exist")
        if self.target.is_dir():
            raise VideoError(f"{self.target}: cannot be written: it is a folder")
        self._overwrite = overwrite
        if self.target.exists() and source.exists() and self.target.samefile(source):
            raise ConfigError(f"{self.target} is the source itself; expected another name")
        if self.target.exists() and not overwrite and not (resume and self._published):
            raise OutputExistsError(f"{self.target} exists; pass -y (overwrite) to replace it")
        if self.path.exists() and not (resume or overwrite):
            raise OutputExistsError(
                f"{self.path} is left from an interrupted encode; pass --resume to go on with it, "
                "or -y (overwrite) to start anew"
            )

    def open(self, identity: str, *, resume: bool) -> Writer | None:
        """Create the file, or open it to resume an interrupted encode.

        Args:
            identity: Identity of the encode, which must equal that of the interrupted encode.
            resume: Whether to resume, if there is something to resume.

        Returns:
            Writer of the file; None if the target is finished already.

        Raises:
            ConfigError: If the file belongs to another encode, or is damaged beyond repair.
            VideoError: If the file cannot be written.
        """
        if not (resume and self.resumable):
            try:
                writer = Writer(self.path)
                self._owned = True
                self._identity_file.write_text(identity)
                return writer
            except OSError as error:
                reason = error.strerror or str(error)
                raise VideoError(f"{self.target}: cannot be written: {reason}") from error
        try:
            stored_identity = self._identity_file.read_text()
        except OSError as error:
            raise ConfigError(
                f"{self._identity_file} cannot be read, so nothing can be resumed"
            ) from error
        if stored_identity != identity:
            raise ConfigError(
                f"{self.path} was made from another video or with other settings; "
                f"expected {stored_identity}, got {identity}"
            )
        if self._published:
            return None
        try:
            writer = Writer.resume(self.path)
            self._owned = True
            return writer
        except BitstreamError as error:
            raise ConfigError(f"{self.path} cannot be resumed: {error}") from error

    def release(self, *, keep: bool = True) -> None:
        """Clean up after a failure: keep the file if it holds segments, else remove it.

        A file that this encode has not opened is left alone.

        Args:
            keep: Whether a file with segments is kept.
        """
        if not self._owned or not self.path.exists():
            return
        try:
            with Reader(self.path) as reader:
                segments = len(reader.segments)
        except (NvcodecError, OSError):
            segments = 0
        if segments and keep:
            logger.warning("%s keeps %d finished segments; --resume goes on", self.path, segments)
        else:
            self.path.unlink(missing_ok=True)
            self._identity_file.unlink(missing_ok=True)

    def publish(self) -> None:
        """Rename the finished file to its target.

        Raises:
            OutputExistsError: If the target was created during the encode; the partial file is
                kept.
        """
        if self._published:
            return
        if self.target.exists() and not self._overwrite:
            raise OutputExistsError(
                f"{self.target} appeared while {self.path} was made; rename the latter yourself"
            )
        os.replace(self.path, self.target)

    def remove_identity(self) -> None:
        """Remove the identity file, because there is nothing left to resume."""
        self._identity_file.unlink(missing_ok=True)


def check_targets(
    partials: Sequence[PartialFile], source: Path, *, resume: bool, overwrite: bool
) -> None:
    """Check that an encode destroys no file, before any file is changed.

    Args:
        partials: Partial files of the encode.
        source: Path of the video.
        resume: Whether to resume an interrupted encode.
        overwrite: Whether to replace existing files.

    Raises:
        OutputExistsError: If a target or an interrupted encode exists and must not be replaced.
        ConfigError: If there is nothing to resume, or the source would be overwritten.
        VideoError: If the folder of a target is missing, or a target is a folder.
    """
    for partial in partials:
        partial.check_target(source, resume=resume, overwrite=overwrite)
    if resume and not any(partial.resumable for partial in partials):
        raise ConfigError(
            f"{partials[0].path} does not exist, so there is nothing to resume; leave out --resume"
        )


def publish(partials: Sequence[PartialFile]) -> None:
    """Rename finished files to their targets, and remove their identity files after all renames.

    Args:
        partials: Partial files of the encode.

    Raises:
        OutputExistsError: If a target was created during the encode; its partial file is kept.
    """
    for partial in partials:
        partial.publish()
    for partial in partials:
        partial.remove_identity()
