"""Grids of tiles: how HEIF and AVIF store a picture that is larger than their codec likes.

libav reads every tile as a stream, marked as a dependent one. How the tiles are laid out stands in
an item of the `meta` box, which PyAV does not hand out, so it is read here (ISO/IEC 23008-12).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from av.container import InputContainer

from nvcodec.errors import VideoError
from nvcodec.video.sources.isobmff import Box, boxes, contents, find, whole_file
from nvcodec.video.sources.orientation import UPRIGHT, Orientation

_DEPENDENT = 1 << 19  # AV_DISPOSITION_DEPENDENT
_MAX_PIXELS = 1 << 26  # of a picture in an `.nvc` file
_MAX_BOX = 1 << 20  # bytes of a table in the meta box


@dataclass(frozen=True, slots=True)
class TileGrid:
    """Layout of a picture that is made of tiles of one size.

    Attributes:
        columns: Number of tiles in a row.
        tiles: Item of each tile, row by row; libav uses it as `Stream.id`.
        width: Width of the picture, samples; the tiles may reach beyond it.
        height: Height of the picture, samples.
        orientation: How the picture is turned after it is composed.
    """

    columns: int
    tiles: tuple[int, ...]
    width: int
    height: int
    orientation: Orientation


def read_grid(path: Path, container: InputContainer) -> TileGrid | None:
    """Return the layout of the tiles of a file; None if it holds no tiles.

    Args:
        path: Path of the file.
        container: The opened file.

    Raises:
        VideoError: If it holds tiles that cannot be composed.
    """
    tiles = {s.id for s in container.streams.video if int(s.disposition) & _DEPENDENT}
    if not tiles or not container.format.name.startswith("mov"):
        return None
    try:
        with path.open("rb") as file:
            grid = _read(file)
    except (struct.error, IndexError, ValueError):
        grid = None
    if grid is None or not tiles.issuperset(grid.tiles):
        raise VideoError(
            f"{path}: its picture is made of {len(tiles)} parts, and not by a plain grid of tiles; "
            "convert it first, for example to PNG"
        )
    if grid.width * grid.height > _MAX_PIXELS:
        raise VideoError(
            f"{path}: expected at most {_MAX_PIXELS} samples, found {grid.width}x{grid.height}"
        )
    return grid


def compose(path: Path, container: InputContainer, grid: TileGrid) -> av.VideoFrame:
    """Decode the tiles of a picture and put them together.

    Args:
        path: Path of the file, for errors.
        container: The file, opened and not yet read.
        grid: Layout of its tiles.

    Returns:
        The picture at time 0, with its orientation as `opaque`.

    Raises:
        VideoError: If a tile is missing, or does not fit its neighbours.
    """
    picture: av.VideoFrame | None = None
    missing = set(grid.tiles)
    first: tuple[int, int, str] | None = None
    streams = [s for s in container.streams.video if s.id in missing]
    try:
        for packet in container.demux(streams):
            for tile in packet.decode():
                if not isinstance(tile, av.VideoFrame):
                    continue
                layout = tile.width, tile.height, tile.format.name
                if picture is None:
                    first, picture = layout, _canvas(tile, grid)
                if layout != first:
                    raise VideoError(f"{path}: its tiles differ in size or pixel format")
                for place, item in enumerate(grid.tiles):
                    if item == packet.stream.id:
                        _paste(tile, picture, *divmod(place, grid.columns))
                missing.discard(packet.stream.id)
    except av.FFmpegError as error:
        reason = error.strerror or error
        raise VideoError(f"{path}: a tile of its picture cannot be decoded: {reason}") from error
    if picture is None or first is None or missing:
        raise VideoError(f"{path}: {len(missing)} tiles of its picture are missing")
    covered = first[0] * grid.columns, first[1] * (len(grid.tiles) // grid.columns)
    if covered[0] < grid.width or covered[1] < grid.height or _is_split(picture, first):
        raise VideoError(f"{path}: its tiles of {first[0]}x{first[1]} do not make up the picture")
    picture.pts = 0
    picture.opaque = grid.orientation
    return picture


def _canvas(tile: av.VideoFrame, grid: TileGrid) -> av.VideoFrame:
    """Return an empty picture with the properties of a tile."""
    picture = av.VideoFrame(grid.width, grid.height, tile.format.name)
    picture.colorspace, picture.color_range = tile.colorspace, tile.color_range
    picture.color_primaries, picture.color_trc = tile.color_primaries, tile.color_trc
    return picture


def _paste(tile: av.VideoFrame, picture: av.VideoFrame, row: int, column: int) -> None:
    """Copy the samples of a tile to its place; what reaches beyond the picture is cut."""
    size = 2 if tile.format.components[0].bits > 8 else 1
    for source, target in zip(tile.planes, picture.planes, strict=True):
        samples = np.frombuffer(memoryview(source), np.uint8).reshape(-1, source.line_size)
        canvas = np.frombuffer(memoryview(target), np.uint8).reshape(-1, target.line_size)
        top, left = row * source.height, column * source.width
        height = max(min(source.height, target.height - top), 0)
        width = max(min(source.width, target.width - left), 0) * size
        begin = left * size
        canvas[top : top + height, begin : begin + width] = samples[:height, :width]


def _is_split(picture: av.VideoFrame, tile: tuple[int, int, str]) -> bool:
    """Return whether chroma samples would lie across the border of tiles."""
    scales = [(picture.width / p.width, picture.height / p.height) for p in picture.planes]
    return any(
        (x > 1.5 and tile[0] % 2 and tile[0] < picture.width)
        or (y > 1.5 and tile[1] % 2 and tile[1] < picture.height)
        for x, y in scales
    )


def _read(file: BinaryIO) -> TileGrid | None:
    """Read the primary item of a file if it is a grid."""
    meta = find(file, whole_file(file), b"meta")
    if meta is None:
        return None
    inner = {b.kind: b for b in boxes(file, meta.start + 4, meta.end)}
    primary = contents(file, inner[b"pitm"], 8) if b"pitm" in inner else b""
    if not primary or b"iref" not in inner or b"iloc" not in inner:
        return None
    item = struct.unpack_from(">I" if primary[0] else ">H", primary, 4)[0]
    tiles = _references(file, inner[b"iref"], item)
    data = _data(file, inner, item)
    wide = bool(data[1] & 1)
    rows, columns = data[2] + 1, data[3] + 1
    width, height = struct.unpack_from(">II" if wide else ">HH", data, 4)
    if rows * columns != len(tiles) or not width or not height:
        return None
    return TileGrid(columns, tiles, width, height, _orientation(file, inner, item))


def _references(file: BinaryIO, box: Box, item: int) -> tuple[int, ...]:
    """Return the items that an item is derived from (`dimg`)."""
    wide = contents(file, box, 1) != b"\0"
    number = "I" if wide else "H"
    for reference in boxes(file, box.start + 4, box.end):
        data = contents(file, reference, _MAX_BOX)
        source, count = struct.unpack_from(f">{number}H", data)
        if reference.kind == b"dimg" and source == item:
            return struct.unpack_from(f">{count}{number}", data, struct.calcsize(f">{number}H"))
    return ()


def _data(file: BinaryIO, inner: dict[bytes, Box], item: int) -> bytes:
    """Return the first bytes of an item, which lie in the file or in the `idat` box."""
    table = contents(file, inner[b"iloc"], _MAX_BOX)
    version = table[0]
    offset_size, length_size = table[4] >> 4, table[4] & 15
    base_size, index_size = table[5] >> 4, table[5] & 15 if version else 0
    place = 6

    def take(size: int) -> int:
        nonlocal place
        place += size
        if place > len(table):
            raise ValueError("the table ends early")
        return int.from_bytes(table[place - size : place], "big")

    for _ in range(take(4 if version > 1 else 2)):
        found = take(4 if version > 1 else 2)
        method = take(2) & 15 if version else 0
        take(2)
        base = take(base_size)
        extents = take(2)
        first = place + index_size  # of the offsets
        # Passed over in one step: a hostile table has extents by the thousand, without any bytes.
        take(extents * (index_size + offset_size + length_size))
        if found == item and extents:
            origin = inner[b"idat"].start if method == 1 and b"idat" in inner else 0
            offset = int.from_bytes(table[first : first + offset_size], "big")
            file.seek(origin + base + offset)
            return file.read(12)
    return b""


def _orientation(file: BinaryIO, inner: dict[bytes, Box], item: int) -> Orientation:
    """Return how an item is turned, by its properties in their order."""
    turn = UPRIGHT
    properties = inner.get(b"iprp")
    store = find(file, properties, b"ipco") if properties else None
    table = find(file, properties, b"ipma") if properties else None
    if store is None or table is None:
        return turn
    known = list(boxes(file, store.start, store.end))
    for number in _associations(contents(file, table, _MAX_BOX), item):
        if not 0 < number <= len(known):
            continue
        box = known[number - 1]
        value = contents(file, box, 1)
        if box.kind == b"irot":
            for _ in range(value[0] & 3):  # quarters anticlockwise
                turn = Orientation(not turn.transpose, turn.mirror_y, not turn.mirror_x)
        elif box.kind == b"imir" and value[0] & 1:
            turn = replace(turn, mirror_x=not turn.mirror_x)
        elif box.kind == b"imir":
            turn = replace(turn, mirror_y=not turn.mirror_y)
    return turn


def _associations(table: bytes, item: int) -> list[int]:
    """Return the numbers of the properties of an item, from 1, by an `ipma` box."""
    wide_items, wide_numbers = table[0] > 0, table[3] & 1
    (entries,) = struct.unpack_from(">I", table, 4)
    place = 8
    for _ in range(entries):
        (found,) = struct.unpack_from(">I" if wide_items else ">H", table, place)
        place += 4 if wide_items else 2
        count = table[place]
        place += 1
        form = f">{count}{'H' if wide_numbers else 'B'}"
        numbers = struct.unpack_from(form, table, place)
        place += struct.calcsize(form)
        if found == item:
            return [number & (0x7FFF if wide_numbers else 0x7F) for number in numbers]
    return []
