"""Atomic writing of small files: a file is written completely or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from nvcodec.errors import NvcodecError, OutputBusyError, OutputExistsError, VideoError
from nvcodec.files.lock import FileLock
from nvcodec.files.names import beside
from nvcodec.files.publication import publish
from nvcodec.files.target import Target


def check_target(path: Path, *, overwrite: bool) -> Target:
    """Check that a file can be written.

    Args:
        path: File to write; a FIFO or device is written through.
        overwrite: Whether an existing file may be replaced.

    Returns:
        The path, looked up.

    Raises:
        OutputExistsError: If the file exists and may not be replaced.
        VideoError: If the path is a folder, or its folder is missing.
    """
    target = Target.find(path)
    if target.node == "folder":
        raise VideoError(f"{path}: cannot be written: it is a folder")
    if target.exists and not overwrite:
        raise OutputExistsError(f"{path} exists; pass -y (overwrite) to replace it")
    return target


def write_atomically(path: Path, content: bytes, *, overwrite: bool) -> None:
    """Write a file under a temporary name, and rename it when it is complete.

    Args:
        path: File to write.
        content: Content of the file.
        overwrite: Whether an existing file may be replaced.

    Raises:
        OutputExistsError: If the file exists and may not be replaced.
        OutputBusyError: If another process is writing it.
        VideoError: If the file cannot be written.
    """
    target = check_target(path, overwrite=overwrite)
    try:
        if target.node == "stream":
            path.write_bytes(content)
        else:
            _replace(target.destination, content, overwrite=overwrite)
    except FileExistsError as error:
        raise OutputExistsError(f"{path} exists; pass -y (overwrite) to replace it") from error
    except BlockingIOError as error:
        raise OutputBusyError(f"{path} is being written by another process") from error
    except OSError as error:
        if isinstance(error, NvcodecError):
            raise
        raise VideoError(f"{path}: cannot be written: {error.strerror or error}") from error


def _replace(destination: Path, content: bytes, *, overwrite: bool) -> None:
    temporary = beside(destination, prefix=".", suffix=".partial")
    lock = FileLock.of_new_file(temporary)
    try:
        temporary.write_bytes(content)
        if os.name == "nt":  # renames no open file
            lock.release()
        publish(temporary, destination, overwrite=overwrite)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        lock.release()
