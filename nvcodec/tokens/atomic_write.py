"""Small files that are there as a whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from nvcodec.errors import OutputExistsError, VideoError


def check_target(path: Path, *, overwrite: bool) -> None:
    """Refuse what cannot be written, before any work.

    Raises:
        OutputExistsError: If it exists and may not go.
        VideoError: If it is a folder, or its folder is missing.
    """
    if not path.parent.is_dir():
        raise VideoError(f"{path}: cannot be written: its folder does not exist")
    if path.is_dir():
        raise VideoError(f"{path}: cannot be written: it is a folder")
    if path.exists() and not overwrite:
        raise OutputExistsError(f"{path} exists; pass -y (overwrite) to replace it")


def whole_file(path: Path, content: bytes, *, overwrite: bool) -> None:
    """Write a file beside its place, and rename it when it is whole.

    Raises:
        OutputExistsError: If it exists and may not go.
        VideoError: If it cannot be written.
    """
    check_target(path, overwrite=overwrite)
    beside = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        beside.write_bytes(content)
        os.replace(beside, path)
    except OSError as error:
        raise VideoError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        beside.unlink(missing_ok=True)
