"""Sample aspect ratio in the header of a finished Matroska file.

libav's muxer reads the ratio from a field that PyAV cannot set. VP9 has no field of its own for it,
so Matroska's must be filled in: `DisplayWidth`, `DisplayHeight` and their unit, the form in which
libav itself writes a ratio. The muxer is given a name of the video track that is padded with
`PADDING`; afterwards the bytes of the padding serve for these three elements, and nothing else in
the file moves.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from nvcodec.errors import VideoError

PADDING = "\x01" * 40
"""What the title of the video track must end in while libav writes the file."""

_SEGMENT, _TRACKS, _CLUSTER = 0x18538067, 0x1654AE6B, 0x1F43B675
_TRACK_ENTRY, _NAME, _VIDEO, _CRC, _VOID = 0xAE, 0x536E, 0xE0, 0xBF, 0xEC
_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT = 0x54B0, 0x54BA, 0x54B2
_DISPLAY_ASPECT_RATIO = 3
# Readers keep the two numbers in 32 bits.
_LARGEST = 2**31 - 1


def display_aspect(width: int, height: int, sample_aspect_ratio: Fraction) -> Fraction:
    """Return width over height of the picture on the screen, in numbers that readers can hold.

    Args:
        width: Picture width, samples.
        height: Picture height, samples.
        sample_aspect_ratio: Width over height of one sample.
    """
    ratio = Fraction(width, height) * sample_aspect_ratio
    least = Fraction(1, _LARGEST)
    if ratio > 1:
        return 1 / max((1 / ratio).limit_denominator(_LARGEST), least)
    return max(ratio.limit_denominator(_LARGEST), least)


def write_aspect(path: Path, aspect: Fraction) -> None:
    """Write the display aspect ratio into a Matroska file whose video track has a padded name.

    Args:
        path: The file, finished by libav.
        aspect: Width over height of the picture on the screen.

    Raises:
        VideoError: If the file has no such track.
    """
    with path.open("r+b") as file:
        start, size = _find_tracks(file)
        file.seek(start)
        tracks = _with_aspect(file.read(size), aspect)
        if tracks is None:
            raise VideoError(f"{path}: the sample aspect ratio cannot be written")
        file.seek(start)
        file.write(tracks)


def _find_tracks(file: BinaryIO) -> tuple[int, int]:
    """Return where the payload of the `Tracks` element lies, and its size; 0 if there is none."""
    position = 0
    while True:
        file.seek(position)
        head = file.read(12)
        if len(head) < 2 or head[0] == 0:
            return 0, 0
        kind, start, size = _element(head, 0)
        if kind == _TRACKS:
            return position + start, size
        if kind == _CLUSTER:
            return 0, 0
        position += start if kind == _SEGMENT else start + size


def _with_aspect(tracks: bytes, aspect: Fraction) -> bytes | None:
    """Return the payload of `Tracks`, of the same size, with the aspect ratio of the video."""
    parts = []
    found = checked = False
    for kind, payload, raw in _children(tracks):
        if kind == _TRACK_ENTRY and not found:
            entry = _entry_with_aspect(payload, aspect)
            found = entry is not None
            raw = raw[: len(raw) - len(payload)] + (entry or payload)
        checked |= kind == _CRC
        parts.append(raw)
    if not found:
        return None
    if checked:  # the first element is the checksum of all that follow
        content = b"".join(parts[1:])
        parts[0] = parts[0][:-4] + zlib.crc32(content).to_bytes(4, "little")
    return b"".join(parts)


def _entry_with_aspect(entry: bytes, aspect: Fraction) -> bytes | None:
    """Return the payload of a track of the same size; None if it is not the padded video."""
    children = list(_children(entry))
    names = [payload for kind, payload, _ in children if kind == _NAME]
    if not names or not names[0].endswith(PADDING.encode()):
        return None
    shape = (
        _encoded(_DISPLAY_WIDTH, _integer(aspect.numerator))
        + _encoded(_DISPLAY_HEIGHT, _integer(aspect.denominator))
        + _encoded(_DISPLAY_UNIT, _integer(_DISPLAY_ASPECT_RATIO))
    )
    parts = []
    for kind, payload, raw in children:
        if kind == _VIDEO:
            raw = _encoded(_VIDEO, payload + shape)
        elif kind == _NAME:
            name = payload.removesuffix(PADDING.encode())
            raw = _encoded(_NAME, name) if name else b""
        parts.append(raw)
    changed = b"".join(parts)
    space = len(entry) - len(changed) - 2
    if space < 0:
        return None
    return changed + _encoded(_VOID, bytes(space))


def _children(payload: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield number, payload and all bytes of each element."""
    position = 0
    while position < len(payload):
        kind, start, size = _element(payload, position)
        yield kind, payload[start : start + size], payload[position : start + size]
        position = start + size


def _element(data: bytes, position: int) -> tuple[int, int, int]:
    """Return the number of an element, where its payload begins, and its size."""
    length = 9 - data[position].bit_length()
    kind = int.from_bytes(data[position : position + length], "big")
    position += length
    length = 9 - data[position].bit_length()
    size = int.from_bytes(data[position : position + length], "big") & (1 << 7 * length) - 1
    return kind, position + length, size


def _encoded(kind: int, payload: bytes) -> bytes:
    """Return an element with its number and size; the size takes one byte or two."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 127 else (0x4000 | size).to_bytes(2, "big")
    return _integer(kind) + length + payload


def _integer(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")
