"""Atomic writing of small files: a file is written completely or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from nvcodec.errors import OutputExistsError, VideoError


def check_target(path: Path, *, overwrite: bool) -> None:
    """Check that a file can be written.

    Args:
        path: File to write.
        overwrite: Whether an existing file may be replaced.

    Raises:
        OutputExistsError: If the file exists and may not be replaced.
        VideoError: If the path is a folder, or its folder is missing.
    """
    if not path.parent.is_dir():
        raise VideoError(f"{path}: cannot be written: its folder does not exist")
    if path.is_dir():
        raise VideoError(f"{path}: cannot be written: it is a folder")
    if path.exists() and not overwrite:
        raise OutputExistsError(f"{path} exists; pass -y (overwrite) to replace it")


def write_atomically(path: Path, content: bytes, *, overwrite: bool) -> None:
    """Write a file under a temporary name, and rename it when it is complete.

    Args:
        path: File to write.
        content: Content of the file.
        overwrite: Whether an existing file may be replaced.

    Raises:
        OutputExistsError: If the file exists and may not be replaced.
        VideoError: If the file cannot be written.
    """
    check_target(path, overwrite=overwrite)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError as error:
        raise VideoError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
