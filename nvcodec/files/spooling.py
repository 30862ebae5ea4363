"""Pipes as inputs: they are copied once into a temporary file, which can be read several times.

The file is in a folder of its own, in the folder that `TMPDIR` names, and is removed with it at the
end, also after Ctrl-C. Its own name is always the same, so that the identity of an encode does not
depend on the pipe.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from nvcodec.errors import VideoError
from nvcodec.files.urls import refuse_url

Input = str | os.PathLike[str] | BinaryIO
"""A path, or a binary file object, which is read to its end."""

_CHUNK = 1 << 20
# What messages call the temporary files in use, by their paths.
_names: dict[str, str] = {}


def with_names(text: str) -> str:
    """Return a message with the names of pipes in place of the paths of their temporary files."""
    for path, name in _names.items():
        text = text.replace(path, name)
    return text


@contextmanager
def temporary_file(name: str) -> Iterator[Path]:
    """Yield the path of a temporary file, which is not made yet and is removed at the end.

    Args:
        name: What errors that pass through the block call it.

    Raises:
        VideoError: If there is no folder for temporary files.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix="nvcodec-")).resolve()
    except OSError as error:
        raise _no_room(name, tempfile.tempdir or "a temporary folder", error) from error
    path = folder / "pipe"
    _names[str(path)] = name
    try:
        yield path
    except Exception as error:
        error.args = tuple(with_names(arg) if isinstance(arg, str) else arg for arg in error.args)
        raise
    finally:
        del _names[str(path)]
        shutil.rmtree(folder, ignore_errors=True)


class InputFile:
    """An input that can be read as a file; `input_file` makes one.

    Args:
        path: Path of the file.
        name: What messages call it.
        pipe: What `fill` copies to the file; None if it is there already.
    """

    def __init__(self, path: Path, name: str, pipe: Input | None = None) -> None:
        self.path, self.name = path, name
        self._pipe = pipe

    def fill(self) -> None:
        """Copy the pipe to the file, once; does nothing if the input is a file.

        Raises:
            VideoError: If the pipe is a terminal or cannot be read, or the disk is full.
        """
        pipe, self._pipe = self._pipe, None
        if pipe is None:
            return
        if not isinstance(pipe, (str, os.PathLike)):
            self._copy(pipe)
            return
        try:
            file = open(pipe, "rb")  # noqa: SIM115
        except OSError as error:
            raise self._unreadable(error) from error
        with file:
            self._copy(file)

    def _copy(self, pipe: BinaryIO) -> None:
        if pipe.isatty():
            raise VideoError(f"{self.name}: expected data from a pipe or file, found a terminal")
        try:
            with self.path.open("wb") as file:
                while chunk := self._read(pipe):
                    file.write(chunk)
        except OSError as error:
            raise _no_room(self.name, self.path.parent.parent, error) from error

    def _read(self, pipe: BinaryIO) -> bytes:
        try:
            return pipe.read(_CHUNK)
        except OSError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError) -> VideoError:
        return VideoError(f"{self.name}: cannot be read: {error.strerror or error}")


@contextmanager
def input_file(source: Input) -> Iterator[InputFile]:
    """Yield an input as a file; the copy of a pipe is removed at the end.

    Args:
        source: Path of a file, folder or pipe, or a binary file object.

    Raises:
        VideoError: If it is a URL, or there is no folder for temporary files.
    """
    if isinstance(source, (str, os.PathLike)):
        refuse_url(source)
        path, name = Path(source), os.fspath(source)
        if not is_pipe(path):
            yield InputFile(path, name)
            return
    else:
        name = _name_of(source)
    with temporary_file(name) as path:
        yield InputFile(path, name, source)


@contextmanager
def readable_path(source: Input) -> Iterator[Path]:
    """Yield the path of a file with the whole content of an input; see `input_file`.

    Args:
        source: Path of a file, folder or pipe, or a binary file object.

    Raises:
        VideoError: If it is a URL, a terminal or not readable, or the disk is full.
    """
    with input_file(source) as file:
        file.fill()
        yield file.path


def is_pipe(path: Path) -> bool:
    """Return whether a path is a pipe, terminal or socket, which can be read only once."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)


def _name_of(file: BinaryIO) -> str:
    if sys.stdin is not None and file is getattr(sys.stdin, "buffer", None):
        return "standard input"
    name = getattr(file, "name", None)
    return name if isinstance(name, str) else "the given file object"


def _no_room(name: str, folder: str | Path, error: OSError) -> VideoError:
    return VideoError(
        f"{name}: cannot be kept in {folder}: {error.strerror or error}; "
        "set TMPDIR to a folder with more room"
    )
