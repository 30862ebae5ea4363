"""An `.nvc` file while it is being made: beside its target, resumable, renamed when whole.

`<target>.partial` holds every finished segment; `<target>.partial.json` says what made it, so that
only the same encode goes on with it. Of several files of one encode, some may have their names
already: those whose note is still there are as finished as they look.
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
    """The unfinished file of one target.

    Args:
        target: Where the finished file will be.

    Attributes:
        path: The unfinished file.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(target.name + ".partial")
        self._note = target.with_name(target.name + ".partial.json")
        self._overwrite = False
        self._owned = False

    @property
    def begun(self) -> bool:
        """Whether an interrupted encode has left something to go on with."""
        return self.path.exists() or self._published

    @property
    def _published(self) -> bool:
        return self.target.exists() and self._note.exists() and not self.path.exists()

    def claim(self, source: Path, *, resume: bool, overwrite: bool) -> None:
        """Refuse what would destroy something.

        Raises:
            OutputExistsError: If the target or an interrupted encode exists and may not go.
            ConfigError: If the source would be overwritten.
            VideoError: If the target's folder is missing.
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
        """Begin the file, or go on with it.

        Args:
            identity: What must agree for an encode to go on where another stopped.
            resume: Go on, if there is anything to go on with.

        Returns:
            What to write with; None if the target is finished.

        Raises:
            ConfigError: If what is there was made from other things, or is beyond repair.
            VideoError: If nothing can be written here.
        """
        if not (resume and self.begun):
            try:
                writer = Writer(self.path)
                self._owned = True
                self._note.write_text(identity)
                return writer
            except OSError as error:
                reason = error.strerror or str(error)
                raise VideoError(f"{self.target}: cannot be written: {reason}") from error
        try:
            known = self._note.read_text()
        except OSError as error:
            raise ConfigError(f"{self._note} cannot be read, so nothing can be resumed") from error
        if known != identity:
            raise ConfigError(
                f"{self.path} was made from another video or with other settings; "
                f"expected {known}, got {identity}"
            )
        if self._published:
            return None
        try:
            writer = Writer.resume(self.path)
            self._owned = True
            return writer
        except BitstreamError as error:
            raise ConfigError(f"{self.path} cannot be resumed: {error}") from error

    def release(self) -> None:
        """After a failure: keep what can be resumed, remove what cannot, leave what others made."""
        if not self._owned or not self.path.exists():
            return
        try:
            with Reader(self.path) as reader:
                kept = len(reader.segments)
        except (NvcodecError, OSError):
            kept = 0
        if kept:
            logger.warning("%s keeps %d finished segments; --resume goes on", self.path, kept)
        else:
            self.path.unlink(missing_ok=True)
            self._note.unlink(missing_ok=True)

    def publish(self) -> None:
        """Give the finished file its name.

        Raises:
            OutputExistsError: If something took that name meanwhile; the finished file stays.
        """
        if self._published:
            return
        if self.target.exists() and not self._overwrite:
            raise OutputExistsError(
                f"{self.target} appeared while {self.path} was made; rename the latter yourself"
            )
        os.replace(self.path, self.target)

    def forget(self) -> None:
        """Remove the note of how the file was made: nothing is left to go on with."""
        self._note.unlink(missing_ok=True)


def claim(partials: Sequence[PartialFile], source: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse what would destroy something, before anything is touched.

    Args:
        partials: The files of one encode.
        source: The video.
        resume: Go on with an interrupted encode.
        overwrite: Replace what exists.

    Raises:
        OutputExistsError: If a target or an interrupted encode exists and may not go.
        ConfigError: If there is nothing to resume, or the source would be overwritten.
        VideoError: If a target's folder is missing.
    """
    for partial in partials:
        partial.claim(source, resume=resume, overwrite=overwrite)
    if resume and not any(partial.begun for partial in partials):
        raise ConfigError(
            f"{partials[0].path} does not exist, so there is nothing to resume; leave out --resume"
        )


def publish(partials: Sequence[PartialFile]) -> None:
    """Give finished files their names, and only then forget how they were made.

    Raises:
        OutputExistsError: If something took a name meanwhile; the finished file stays.
    """
    for partial in partials:
        partial.publish()
    for partial in partials:
        partial.forget()
