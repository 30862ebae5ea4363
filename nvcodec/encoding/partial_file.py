"""The partial file of an encode: written beside its target, resumable, renamed when finished.

`<target>.partial` holds every finished segment. `<target>.partial.json` is its note, made first and
removed last: with the identity of the encode, so that only the same encode can resume it, and a lock,
so that two encodes never write to one target. If an encode of several files is interrupted during
the renames, a target that its note describes is finished.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from nvcodec.container import Reader, Writer
from nvcodec.container.byte_source import ByteSource
from nvcodec.container.resume_point import intact_prefix
from nvcodec.encoding.fingerprint import sha256_of
from nvcodec.encoding.identity import describe_differences
from nvcodec.encoding.note import Note
from nvcodec.errors import (
    BitstreamError,
    ConfigError,
    NvcodecError,
    OutputExistsError,
    TruncatedStreamError,
    VideoError,
)
from nvcodec.files.names import beside
from nvcodec.files.publication import publish as rename
from nvcodec.files.target import Target, check_inputs_are_kept

logger = logging.getLogger(__name__)


class PartialFile:
    """The partial file of one target.

    Args:
        target: Path of the finished file.

    Raises:
        VideoError: If no file can be written there.

    Attributes:
        target: Path of the finished file.
        path: Path of the partial file. It lies beside the file that symbolic links lead to.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        found = Target.find(target)
        if found.node in ("folder", "stream"):
            kind = "a folder" if found.node == "folder" else "a FIFO or device"
            raise VideoError(
                f"{target}: cannot be written: it is {kind}; expected the name of a file, beside "
                "which an encode keeps what is finished"
            )
        self._destination = found.destination
        self.path = beside(found.destination, suffix=".partial")
        self._note = Note(beside(found.destination, suffix=".partial.json"), target)
        self._pictures: dict[int, str] = {}
        self._sampled = False
        self._overwrite = False
        self._owned = False
        self._renamed = False

    @property
    def files(self) -> tuple[Path, Path, Path]:
        """The files that an encode replaces or removes: the finished one, this one, its note."""
        return self._destination, self.path, self._note.path

    @property
    def resumable(self) -> bool:
        """Whether an interrupted encode is there to be resumed, be it from its first segment."""
        return self.path.exists() or self._note.existed

    @property
    def is_published(self) -> bool:
        """Whether the finished file has its name, but its encode was interrupted after that."""
        finished = self._note.finished
        if finished is None or not self._destination.is_file():
            return False
        if self._destination.stat().st_size != finished[0]:
            return False
        return _size_and_digest(self._destination) == finished

    def lock(self) -> None:
        """Keep other encodes from the target, until `release` or `remove_note`.

        Raises:
            OutputBusyError: If another encode to the same target is running.
            VideoError: If the folder cannot be written to.
        """
        try:
            self._note.lock()
        except OSError as error:
            if isinstance(error, NvcodecError):
                raise
            self._note.restore()
            raise self._failed(error) from error

    def check_target(self, *, resume: bool, overwrite: bool, published: bool) -> None:
        """Check that the encode destroys no file.

        Args:
            resume: Whether to resume an interrupted encode.
            overwrite: Whether to replace existing files.
            published: Whether the target is the finished file of the encode that is resumed.

        Raises:
            OutputExistsError: If the target or an interrupted encode exists and must not be
                replaced.
        """
        self._overwrite, self._renamed = overwrite, published
        if os.path.lexists(self._destination) and not overwrite and not published:
            raise OutputExistsError(f"{self.target} exists; pass -y (overwrite) to replace it")
        if self.path.exists() and not (resume or overwrite) and self._holds_work():
            raise OutputExistsError(
                f"{self.path} is left from an interrupted encode; pass --resume to go on with it, "
                "or -y (overwrite) to start anew"
            )

    def open(self, identity: dict[str, Any], *, resume: bool) -> Writer | None:
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
        self._sampled = "sampled_sha256" in identity["source"]
        if resume:
            self._pictures = self._note.pictures
        if self._renamed:
            if self._note.existed:
                self._check_identity(identity)
            return None
        if resume and self.path.exists() and self._holds_work():
            self._check_identity(identity)
            try:
                writer = Writer.resume(self.path)
            except BitstreamError as error:
                raise ConfigError(f"{self.path} cannot be resumed: {error}") from error
            self._owned = True
            return writer
        try:
            # The file may have the target as its second name, so it is removed, not emptied.
            self.path.unlink(missing_ok=True)
            self._owned = True
            self._note.begin(identity)
            return Writer(self.path)
        except OSError as error:
            raise self._failed(error) from error

    def note_pictures(self, segment: int, digest: str) -> None:
        """Write down a hash of the pictures of a segment, before it is stored.

        Only if the identity describes the source by samples: pictures of a damaged source may differ
        from run to run, and need no hash where the source has one.

        Args:
            segment: Number of the segment.
            digest: SHA-256 of its pictures.
        """
        if self._sampled:
            self._note.add_pictures(segment, digest)

    def holds_pictures(self, segment: int, digest: str) -> bool:
        """Return whether a stored segment was made of these pictures, as far as it is known."""
        return not self._sampled or self._pictures.get(segment, digest) == digest

    def release(self, *, keep: bool = True) -> None:
        """Clean up after a failure: keep the file if it may hold segments, else remove it; unlock.

        A file that this encode has not opened is left alone.

        Args:
            keep: Whether a file with segments is kept.
        """
        stored = self._stored_segments() if self._owned and keep else 0
        if stored:
            logger.warning("%s keeps %s finished segments; --resume goes on", self.path, stored)
            self._note.release()
        elif self._renamed:
            self._note.release()
        elif self._owned:
            self.path.unlink(missing_ok=True)
            self._note.remove()
        else:
            self._note.restore()

    def finish(self) -> None:
        """Write down that the file is complete, before it or another file of a ladder is renamed."""
        if not self._renamed:
            self._note.finish(*_size_and_digest(self.path))

    def publish(self) -> None:
        """Rename the finished file to its target.

        Raises:
            OutputExistsError: If the target was created during the encode; the partial file is
                kept.
        """
        if self._renamed:
            self.path.unlink(missing_ok=True)
            return
        try:
            rename(self.path, self._destination, overwrite=self._overwrite)
        except FileExistsError as error:
            raise OutputExistsError(
                f"{self.target} appeared while {self.path} was made; move it away and pass "
                "--resume, or rename the latter yourself"
            ) from error
        self._renamed = True

    def remove_note(self) -> None:
        """Remove the note, because there is nothing left to resume, and unlock the target."""
        self._note.remove()

    def _stored_segments(self) -> int | str:
        """Return the number of segments that the file holds, or a word if it cannot be read.

        What made an encode fail, such as a lost disk or a lack of file descriptors, may also prevent
        that its file is read.
        """
        if not self.path.exists():
            return 0
        try:
            with Reader(self.path) as reader:
                return len(reader.segments)
        except TruncatedStreamError:
            return 0  # cut before the end of its header
        except (NvcodecError, OSError):
            return "its"

    def _holds_work(self) -> bool:
        """Return whether the partial file holds more than a killed encode leaves before a segment.

        A file without a note is none that an encode was killed with, and is not touched either.
        """
        if not self._note.existed:
            return True
        try:
            with self.path.open("rb") as file:
                return any(entry.segment for entry in intact_prefix(ByteSource(file)))
        except (BitstreamError, OSError):
            return True

    def _check_identity(self, identity: dict[str, Any]) -> None:
        stored = self._note.identity
        if stored is None:
            raise ConfigError(
                f"{self._note.path} does not say of what encode {self.path} is, so nothing can be "
                "resumed; pass -y (overwrite) to start anew"
            )
        if differences := describe_differences(stored, identity):
            raise ConfigError(
                f"{self.path} was made from another video or with other settings: {differences}; "
                "expected the same, or -y (overwrite) to start anew"
            )

    def _failed(self, error: OSError) -> VideoError:
        reason = error.strerror or str(error)
        return VideoError(f"{self.target}: cannot be written: {reason}")


def lock_targets(partials: Sequence[PartialFile], inputs: Iterable[Path]) -> None:
    """Lock all targets of an encode, or none, after checking that no input is among them.

    Args:
        partials: Partial files of the encode.
        inputs: Files and folders that the encode reads, and the files in these folders that it reads.

    Raises:
        ConfigError: If an input would be overwritten, or two targets are one file.
        OutputBusyError: If another encode to one of the targets is running.
        VideoError: If the folder of a target cannot be written to.
    """
    if len({partial.path for partial in partials}) < len(partials):
        names = ", ".join(str(partial.target) for partial in partials)
        raise ConfigError(f"{names}: two targets lead to the same file; expected different ones")
    check_inputs_are_kept((file for partial in partials for file in partial.files), inputs)
    locked: list[PartialFile] = []
    try:
        for partial in partials:
            partial.lock()
            locked.append(partial)
    except BaseException:
        for partial in locked:
            partial.release()
        raise


def check_targets(partials: Sequence[PartialFile], *, resume: bool, overwrite: bool) -> None:
    """Check that an encode destroys no file, before any file is changed.

    Args:
        partials: Partial files of the encode.
        resume: Whether to resume an interrupted encode.
        overwrite: Whether to replace existing files.

    Raises:
        OutputExistsError: If a target or an interrupted encode exists and must not be replaced.
        ConfigError: If there is nothing to resume.
    """
    published = [resume and partial.is_published for partial in partials]
    # Notes are removed after all renames: if one is left of a ladder, all files have their names.
    if any(published) and not any(partial.path.exists() for partial in partials):
        published = [partial.target.exists() for partial in partials]
    for partial, ready in zip(partials, published, strict=True):
        partial.check_target(resume=resume, overwrite=overwrite, published=ready)
    if resume and not any(partial.resumable for partial in partials):
        raise ConfigError(
            f"{partials[0].path} does not exist, so there is nothing to resume; leave out --resume"
        )


def publish(partials: Sequence[PartialFile]) -> None:
    """Rename finished files to their targets, and remove their notes after all renames.

    Args:
        partials: Partial files of the encode.

    Raises:
        OutputExistsError: If a target was created during the encode; its partial file is kept.
    """
    for partial in partials:
        partial.finish()
    for partial in partials:
        partial.publish()
    for partial in partials:
        partial.remove_note()


def _size_and_digest(path: Path) -> tuple[int, str]:
    """Return the size of a file in bytes, and the SHA-256 of its content."""
    with path.open("rb") as file:
        digest = sha256_of(file)
        return file.tell(), digest
