"""What an output path names: a file, a folder, a FIFO or device, or nothing yet."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nvcodec.errors import ConfigError, VideoError

_KINDS = {stat.S_IFBLK: "a block device", stat.S_IFSOCK: "a socket"}


@dataclass(frozen=True, slots=True)
class Target:
    """An output path, looked up.

    Attributes:
        path: Path as the user wrote it, for messages.
        destination: Path behind symbolic links. The file there is replaced, and the links stay.
        node: What there is: nothing, a regular file, a folder, or a FIFO or character device, which
            can only be written through.
    """

    path: Path
    destination: Path
    node: Literal["absent", "file", "folder", "stream"]

    @classmethod
    def find(cls, path: str | os.PathLike[str]) -> Target:
        """Look up an output path.

        Args:
            path: Path of the file or folder to write.

        Raises:
            VideoError: If nothing can be written there: links in a circle, a block device, a
                socket, a path that cannot be read, or one whose folder is missing.
        """
        path = Path(path)
        try:
            status = os.stat(path)
        except FileNotFoundError:
            status = None
        except OSError as error:
            raise VideoError(f"{path}: cannot be written: {error.strerror or error}") from error
        destination = Path(os.path.realpath(path)) if path.is_symlink() else path
        if not destination.parent.is_dir():
            behind = "" if destination == path else f", {destination.parent},"
            raise VideoError(f"{path}: cannot be written: its folder{behind} does not exist")
        if status is None:
            return cls(path, destination, "absent")
        if stat.S_ISFIFO(status.st_mode) or stat.S_ISCHR(status.st_mode):
            return cls(path, path, "stream")
        if kind := _KINDS.get(stat.S_IFMT(status.st_mode)):
            raise VideoError(f"{path}: cannot be written: it is {kind}; expected a file")
        # The kernel's links to open files, as in /proc/self/fd, may lead to no name.
        if not (destination.exists() and os.path.samestat(status, destination.stat())):
            raise VideoError(f"{path}: cannot be written: it is an open file without a name")
        return cls(path, destination, "folder" if stat.S_ISDIR(status.st_mode) else "file")

    @property
    def exists(self) -> bool:
        """Whether writing would replace something."""
        return self.node != "stream" and os.path.lexists(self.destination)


def is_write_through(path: str | os.PathLike[str]) -> bool:
    """Return whether a path names a FIFO or a character device, such as `/dev/null`."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def check_inputs_are_kept(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Check that no output is one of the inputs, under whatever name or link.

    Args:
        outputs: Files that are replaced or removed, if they exist.
        inputs: Files and folders that are read. Of a folder, the files that are read are listed too.

    Raises:
        ConfigError: If an output is an input.
    """
    replaced = {(status.st_dev, status.st_ino): path for path, status in _existing(outputs)}
    if not replaced:
        return
    for path, status in _existing(inputs):
        output = replaced.get((status.st_dev, status.st_ino))
        if output is not None:
            raise ConfigError(
                f"{output} is the input {path} itself; expected another name for the output"
            )


def _existing(paths: Iterable[Path]) -> Iterator[tuple[Path, os.stat_result]]:
    for path in paths:
        try:
            yield path, os.stat(path)
        except OSError:
            continue  # whoever reads it reports what is wrong with it
