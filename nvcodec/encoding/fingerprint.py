"""Fingerprints of inputs: equal for equal content, wherever it lies and whenever it was copied."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from nvcodec.video.sources.image_folder import files_read

# An encode of a part of a video may take less time than hashing all of a long one. A file up to this
# size is always hashed as a whole, which takes some hundredths of a second.
_SMALL = 16 << 20
_SAMPLES = 64
_SAMPLE_BYTES = 64 << 10
_CHUNK = 1 << 20


def fingerprint(path: Path, *, part: bool = False) -> dict[str, object]:
    """Describe the content of a file, or of those files of a folder that are read as a video.

    To hash the whole file takes little beside the decoding of its video, let alone the fit. The time of the last change is no substitute: copies have another one.

    Args:
        path: File or folder.
        part: Whether only a part of the video is encoded. Of a file of more than 16 MiB, 64 evenly
            spaced blocks of 64 KiB are then hashed, the first and the last among them.

    Returns:
        Size and hash; for a folder, those of each file by name. The name of a file itself does not
        count, but its suffix, which may decide how libav reads it.

    Raises:
        OSError: If it cannot be read.
    """
    if path.is_dir():
        return {"files": {file.name: fingerprint(file) for file in sorted(files_read(path))}}
    if not path.is_file():  # a FIFO or device can be read only once
        return {"stream": uuid4().hex}
    size = path.stat().st_size
    described: dict[str, object] = {"bytes": size, "suffix": path.suffix.lower()}
    with path.open("rb") as file:
        if not part or size <= _SMALL:
            return {**described, "sha256": sha256_of(file)}
        digest = hashlib.sha256()
        for number in range(_SAMPLES):
            file.seek((size - _SAMPLE_BYTES) * number // (_SAMPLES - 1))
            digest.update(file.read(_SAMPLE_BYTES))
    return {**described, "sampled_sha256": digest.hexdigest()}


def sha256_of(file: BinaryIO) -> str:
    """Return the SHA-256 of the rest of a file, in hexadecimal."""
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
