"""Boxes of ISO base media files (MP4, QuickTime, HEIF, AVIF), for what libav reads but PyAV hides."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_MAX_BOXES = 4096  # of one parent; a file that holds more is damaged or hostile


@dataclass(frozen=True, slots=True)
class Box:
    """A box.

    Attributes:
        kind: Four letters.
        start: Byte offset of its contents in the file.
        end: Byte offset of the byte after it.
    """

    kind: bytes
    start: int
    end: int


def boxes(file: BinaryIO, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes in a part of a file, up to the first one that is damaged.

    Args:
        file: The file, opened for reading; only headers of boxes are read.
        start: Byte offset of the first box.
        end: Byte offset of the byte after the last.
    """
    for _ in range(_MAX_BOXES):
        if start + 8 > end:
            return
        file.seek(start)
        head = file.read(16)
        if len(head) < 8:
            return
        size, kind = struct.unpack_from(">I4s", head)
        skip = 8
        if size == 1 and len(head) == 16:
            (size,), skip = struct.unpack_from(">Q", head, 8), 16
        elif size == 0:
            size = end - start
        if size < skip or start + size > end:
            return
        yield Box(kind, start + skip, start + size)
        start += size


def find(file: BinaryIO, parent: Box, *path: bytes) -> Box | None:
    """Return the first box at a path below another box, None if there is none.

    Args:
        file: The file.
        parent: Box to begin at; its children follow its header at once.
        path: Kinds of the boxes, from the outermost.
    """
    for kind in path:
        found = next((b for b in boxes(file, parent.start, parent.end) if b.kind == kind), None)
        if found is None:
            return None
        parent = found
    return parent


def contents(file: BinaryIO, box: Box, limit: int) -> bytes:
    """Return the bytes of a box, at most `limit` of them."""
    file.seek(box.start)
    return file.read(min(box.end - box.start, limit))


def whole_file(file: BinaryIO) -> Box:
    """Return a box that stands for the whole file."""
    return Box(b"file", 0, file.seek(0, 2))
