"""Cropping that a container asks for: pixel crop of Matroska, clean aperture of MP4 and QuickTime.

libavformat reads it, and players apply it, but PyAV does not hand it out. (Cropping that a codec
asks for, as H.264 does, is applied by libavcodec.)
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from nvcodec.media import Planes
from nvcodec.video.sources import isobmff

_SEGMENT, _CLUSTER, _TRACKS, _ENTRY = 0x18538067, 0x1F43B675, 0x1654AE6B, 0xAE
_SEEK_HEAD, _SEEK, _SEEK_ID, _SEEK_POSITION = 0x114D9B74, 0x4DBB, 0x53AB, 0x53AC
_TYPE, _VIDEO = 0x83, 0xE0
_BOTTOM, _TOP, _LEFT, _RIGHT = 0x54AA, 0x54BB, 0x54CC, 0x54DD
_MAX_ELEMENTS = 4096  # of one parent; a file that holds more before its tracks is damaged
_HANDLER = 12  # bytes of a `hdlr` box up to the end of the kind of track
_ENTRY_BOXES = 78  # bytes of a video sample entry before the boxes in it


@dataclass(frozen=True, slots=True)
class Crop:
    """Samples to cut off each side of a stored picture, before it is turned."""

    left: int = 0
    right: int = 0
    top: int = 0
    bottom: int = 0

    def size(self, width: int, height: int) -> tuple[int, int] | None:
        """Return width and height of a cropped picture, None if nothing or too little is left."""
        left = width - self.left - self.right, height - self.top - self.bottom
        return left if self != Crop() and min(left) > 0 and min(self._sides()) >= 0 else None

    def apply(self, picture: Planes) -> Planes:
        """Crop a picture; one that is too small stays whole.

        Args:
            picture: y (H, W), u and v (ceil(H / 2), ceil(W / 2)), uint8.

        Returns:
            Views of the planes. They begin at an even row and column, where chroma samples lie.
        """
        y, u, v = picture
        size = self.size(y.shape[1], y.shape[0])
        if size is None:
            return picture
        x, top, (width, height) = self.left // 2, self.top // 2, size
        rows, columns = slice(top, top + (height + 1) // 2), slice(x, x + (width + 1) // 2)
        cropped = y[2 * top : 2 * top + height, 2 * x : 2 * x + width]
        return cropped, u[rows, columns], v[rows, columns]

    def _sides(self) -> tuple[int, int, int, int]:
        return self.left, self.right, self.top, self.bottom


def crop_of(path: Path, format_name: str, number: int) -> Crop:
    """Return the crop of a video stream.

    Args:
        path: Path of the file.
        format_name: Name of its format, as libavformat spells it.
        number: Position of the stream among the video streams of the file.

    Returns:
        The crop; without effect if the file asks for none.
    """
    read = None
    if format_name.startswith("matroska"):
        read = _matroska
    elif format_name.startswith("mov"):
        read = _clean_aperture
    if read is None or not path.is_file():
        return Crop()
    with path.open("rb") as file:
        try:
            crops = list(read(file))
        except (struct.error, ValueError, IndexError, ArithmeticError, OSError):
            return Crop()  # damaged; decoding reports it
    return crops[number] if number < len(crops) else Crop()


def _matroska(file: BinaryIO) -> Iterator[Crop]:
    """Yield the pixel crop of each video track."""
    end = file.seek(0, 2)
    for kind, start, stop in _elements(file, 0, end):
        if kind == _SEGMENT:
            for track, first, last in _elements(file, *_tracks(file, start, stop)):
                if track == _ENTRY:
                    yield from _pixel_crop(file, first, last)
            return


def _tracks(file: BinaryIO, start: int, end: int) -> tuple[int, int]:
    """Return start and end of the tracks of a segment; they may lie behind the clusters."""
    sought = end
    for kind, first, last in _elements(file, start, end):
        if kind == _TRACKS:
            return first, last
        if kind == _SEEK_HEAD:
            for entry, begin, until in _elements(file, first, last):
                if entry != _SEEK:
                    continue
                fields = {field: place for field, *place in _elements(file, begin, until)}
                if _number(file, fields, _SEEK_ID) == _TRACKS:
                    sought = start + _number(file, fields, _SEEK_POSITION)
        if kind == _CLUSTER:
            break
    found = next(_elements(file, sought, end), (0, 0, 0))
    return (found[1], found[2]) if found[0] == _TRACKS else (0, 0)


def _pixel_crop(file: BinaryIO, start: int, end: int) -> Iterator[Crop]:
    """Yield the crop of a track if it is a video track."""
    fields = {kind: place for kind, *place in _elements(file, start, end)}
    if _number(file, fields, _TYPE) != 1:
        return
    video = {kind: place for kind, *place in _elements(file, *fields.get(_VIDEO, (0, 0)))}
    yield Crop(*(_number(file, video, side) for side in (_LEFT, _RIGHT, _TOP, _BOTTOM)))


def _number(file: BinaryIO, fields: dict[int, list[int]], kind: int) -> int:
    """Return an unsigned integer among the fields of an element, 0 if it is missing."""
    start, end = fields.get(kind, (0, 0))
    file.seek(start)
    return int.from_bytes(file.read(min(end - start, 8)), "big")


def _elements(file: BinaryIO, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield kind, start and end of the contents of the EBML elements in a part of a file."""
    for _ in range(_MAX_ELEMENTS):
        if start >= end:
            return
        file.seek(start)
        head = file.read(12)
        kind_size = 9 - head[0].bit_length()
        size_size = 9 - head[kind_size].bit_length()
        if kind_size > 4 or size_size > 8 or len(head) < kind_size + size_size:
            return
        mask = (1 << 7 * size_size) - 1
        size = int.from_bytes(head[kind_size : kind_size + size_size], "big") & mask
        first = start + kind_size + size_size
        if first > end:
            return
        last = end if size == mask else first + size  # all ones: of unknown size
        yield int.from_bytes(head[:kind_size], "big"), first, min(last, end)
        start = last


def _clean_aperture(file: BinaryIO) -> Iterator[Crop]:
    """Yield the crop of each video track of an MP4 or QuickTime file."""
    movie = isobmff.find(file, isobmff.whole_file(file), b"moov")
    if movie is None:
        return
    for track in isobmff.boxes(file, movie.start, movie.end):
        media = isobmff.find(file, track, b"mdia") if track.kind == b"trak" else None
        handler = isobmff.find(file, media, b"hdlr") if media else None
        if media is None or handler is None:
            continue
        if isobmff.contents(file, handler, _HANDLER)[8:] != b"vide":
            continue
        table = isobmff.find(file, media, b"minf", b"stbl", b"stsd")
        yield Crop() if table is None else _aperture_crop(file, table)


def _aperture_crop(file: BinaryIO, table: isobmff.Box) -> Crop:
    """Return the crop of the first entry of a sample description table."""
    entry = next(isobmff.boxes(file, table.start + 8, table.end), None)
    if entry is None:
        return Crop()
    width, height = struct.unpack_from(">HH", isobmff.contents(file, entry, 28), 24)
    inner = isobmff.Box(entry.kind, entry.start + _ENTRY_BOXES, entry.end)
    aperture = isobmff.find(file, inner, b"clap")
    return Crop() if aperture is None else clean_aperture(file, aperture, width, height)


def clean_aperture(file: BinaryIO, box: isobmff.Box, width: int, height: int) -> Crop:
    """Return the crop that a `clap` box asks for.

    Args:
        file: The file.
        box: The box.
        width: Width of the stored picture, samples.
        height: Height of the stored picture, samples.

    Raises:
        struct.error: If the box is too short.
        ZeroDivisionError: If a denominator is 0.
    """
    terms = struct.unpack(">IIIIiIiI", isobmff.contents(file, box, 32))
    clean = Fraction(terms[0], terms[1]), Fraction(terms[2], terms[3])
    centre = Fraction(terms[4], terms[5]), Fraction(terms[6], terms[7])
    # The offset is that of the centre of the aperture from the centre of the picture.
    left = round((width - clean[0]) / 2 + centre[0])
    top = round((height - clean[1]) / 2 + centre[1])
    return Crop(left, width - left - round(clean[0]), top, height - top - round(clean[1]))
