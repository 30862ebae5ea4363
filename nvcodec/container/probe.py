"""Recognition of `.nvc` files by their signature."""

from __future__ import annotations

import os

from nvcodec.container.framing import MAGIC
from nvcodec.errors import VideoError


def is_stream(path: str | os.PathLike[str]) -> bool:
    """Return whether a file starts with the signature of an `.nvc` stream.

    Args:
        path: Path of the file; a folder is not a stream.

    Raises:
        VideoError: If the file cannot be read.
    """
    if os.path.isdir(path):
        return False
    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise VideoError(f"{path}: cannot be read: {error.strerror or error}") from error
