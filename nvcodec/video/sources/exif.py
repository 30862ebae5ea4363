"""Orientation of still images by their EXIF tags.

libav reads the tag too, but of its display matrix PyAV hands out the angle alone, in which mirror
images cannot be told from turned ones.
"""

from __future__ import annotations

import struct

from nvcodec.video.sources.orientation import UPRIGHT, Orientation

CODECS = frozenset({"mjpeg", "png", "webp", "tiff"})
"""Codecs whose packets hold EXIF tags."""

_ORIENTATION_TAG, _SHORT = 0x0112, 3
_ORIENTATIONS = {
    1: UPRIGHT,
    2: Orientation(False, True, False),
    3: Orientation(False, True, True),
    4: Orientation(False, False, True),
    5: Orientation(True, False, False),
    6: Orientation(True, True, False),
    7: Orientation(True, True, True),
    8: Orientation(True, False, True),
}


def orientation_of(image: bytes) -> Orientation | None:
    """Return the orientation that the EXIF tags of an image state.

    Args:
        image: Whole file of a JPEG, PNG, WebP or TIFF image; it may be hostile.

    Returns:
        The orientation; None if the image states none, or its tags are damaged.
    """
    try:
        tags = _tags(image)
        return None if tags is None else _ORIENTATIONS.get(_orientation(tags))
    except struct.error:
        return None  # a length or position beyond the end


def _tags(image: bytes) -> bytes | None:
    """Return the TIFF structure with the tags of an image."""
    if image[:2] in (b"II", b"MM"):
        return image
    if image[:2] == b"\xff\xd8":
        return _of_jpeg(image)
    if image[:8] == b"\x89PNG\r\n\x1a\n":
        return _of_png(image)
    if image[:4] == b"RIFF" and image[8:12] == b"WEBP":
        return _of_webp(image)
    return None


def _of_jpeg(image: bytes) -> bytes | None:
    position = 2
    while True:
        marker, size = struct.unpack_from(">HH", image, position)
        if marker == 0xFFE1 and image[position + 4 : position + 10] == b"Exif\0\0":
            return image[position + 10 : position + 2 + size]
        # The tags precede the scan, 0xFFDA, behind which there are no lengths.
        if marker == 0xFFDA or marker < 0xFFC0 or size < 2:
            return None
        position += 2 + size


def _of_png(image: bytes) -> bytes | None:
    position = 8
    while True:
        size, kind = struct.unpack_from(">I4s", image, position)
        if kind == b"eXIf":
            return image[position + 8 : position + 8 + size]
        position += 12 + size


def _of_webp(image: bytes) -> bytes | None:
    position = 12
    while True:
        kind, size = struct.unpack_from("<4sI", image, position)
        if kind == b"EXIF":
            return image[position + 8 : position + 8 + size].removeprefix(b"Exif\0\0")
        position += 8 + size + size % 2


def _orientation(tags: bytes) -> int:
    """Return the value of the orientation tag in the first directory; 0 if there is none."""
    order = "<" if tags[:2] == b"II" else ">"
    (directory,) = struct.unpack_from(f"{order}I", tags, 4)
    (count,) = struct.unpack_from(f"{order}H", tags, directory)
    for number in range(count):
        place = directory + 2 + 12 * number
        tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tags, place)
        if tag == _ORIENTATION_TAG:
            return int(value) if kind == _SHORT else 0
    return 0
