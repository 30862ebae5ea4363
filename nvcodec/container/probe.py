"""Tells `.nvc` files from other files by their signature."""

from __future__ import annotations

import os

from nvcodec.container.framing import MAGIC
from nvcodec.errors import VideoError


def is_stream(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins as an `.nvc` stream does.

    Raises:
        VideoError: If it cannot be read.
    """
    if os.path.isdir(path):
        return False
    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise VideoError(f"{path}: cannot be read: {error.strerror or error}") from error
