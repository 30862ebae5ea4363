"""Tests of HEIF pictures that are made of tiles."""

from __future__ import annotations

import struct
import time

import av
import numpy as np
import pytest

from nvcodec.errors import VideoError
from nvcodec.video import open_source
from tests.fixtures.clips import moving_picture
from tests.fixtures.videos import read_all

TILE = (64, 48)


def box(kind, *parts):
    data = b"".join(parts)
    return struct.pack(">I4s", 8 + len(data), kind) + data


def full_box(kind, *parts, version=0, flags=0):
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    """Return planes of a picture of 128x96, and its four tiles without loss, with their `hvcC`."""
    picture = moving_picture(3, 128, 96)
    frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="yuv420p")
    planes = frame.to_ndarray()
    y, u, v = planes[:96], planes[96:120].reshape(48, 64), planes[120:].reshape(48, 64)
    coded = []
    for row in range(2):
        for column in range(2):
            path = tmp_path_factory.mktemp("tile") / "tile.mp4"
            with av.open(str(path), "w") as container:
                # This libx265 fails now and then to end a stream of one frame with B-frames.
                params = {"x265-params": "log-level=none:lossless=1:bframes=0"}
                stream = container.add_stream("libx265", rate=1, options=params)
                stream.width, stream.height, stream.pix_fmt = *TILE, "yuv420p"
                stream.codec_context.color_range = 1
                part = np.concatenate(
                    [
                        plane[row * h : (row + 1) * h, column * w : (column + 1) * w].ravel()
                        for plane, (w, h) in ((y, TILE), (u, (32, 24)), (v, (32, 24)))
                    ]
                )
                tile = av.VideoFrame.from_ndarray(part.reshape(72, 64), "yuv420p")
                tile.pts = 0
                container.mux(stream.encode(tile))
                container.mux(stream.encode(None))
            data = path.read_bytes()
            start = data.index(b"hvcC") - 4
            config = data[start : start + struct.unpack_from(">I", data, start)[0]]
            with av.open(str(path)) as container:
                packet = next(p for p in container.demux() if p.size)
                coded.append((config, bytes(packet)))
    return (y, u, v), coded


def grid_file(
    coded, size, *, properties=(), in_idat=True, kind=b"grid", listed=(2, 3, 4, 5), more=b""
):
    """Return a HEIF file of item 1, a grid of the items 2 to 5."""
    grid = struct.pack(">BBBBHH", 0, 0, 1, 1, *size)
    entries = [full_box(b"infe", struct.pack(">HH4sB", 1, 0, kind, 0), version=2)]
    entries += [
        full_box(b"infe", struct.pack(">HH4sB", n, 0, b"hvc1", 0), version=2, flags=1)
        for n in range(2, 6)
    ]
    store = [coded[0][0], full_box(b"ispe", struct.pack(">II", *TILE))]
    store += [full_box(b"ispe", struct.pack(">II", *size)), *properties]
    numbers = [3, *range(4, 4 + len(properties))]
    associations = struct.pack(">IHB", 5, 1, len(numbers)) + bytes(numbers)
    for item in range(2, 6):
        associations += struct.pack(">HBBB", item, 2, 0x80 | 1, 2)
    references = box(b"dimg", struct.pack(f">HH{len(listed)}H", 1, len(listed), *listed))

    def file(offset):
        places = [(1, 1, 0, len(grid)) if in_idat else (1, 0, offset, len(grid))]
        at = offset + len(grid)
        for item, (_, data) in enumerate(coded, 2):
            places.append((item, 0, at, len(data)))
            at += len(data)
        locations = b"".join(
            struct.pack(">HHHHII", item, method, 0, 1, at, length)
            for item, method, at, length in places
        )
        meta = full_box(
            b"meta",
            full_box(b"hdlr", struct.pack(">I4s12xB", 0, b"pict", 0)),
            full_box(b"pitm", struct.pack(">H", 1)),
            full_box(b"iinf", struct.pack(">H", 5), *entries),
            full_box(b"iref", references),
            box(b"iprp", box(b"ipco", *store), full_box(b"ipma", associations)),
            box(b"idat", grid),
            full_box(b"iloc", struct.pack(">BBH", 0x44, 0, 5), locations, version=1),
            more,
        )
        return box(b"ftyp", b"heic\0\0\0\0mif1heic") + meta

    head = file(0)
    payload = grid + b"".join(data for _, data in coded)
    return file(len(head) + 8) + box(b"mdat", payload)


@pytest.mark.parametrize("in_idat", [True, False])
@pytest.mark.parametrize("size", [(128, 96), (121, 90)])
def test_a_grid_is_composed(tiles, tmp_path, size, in_idat):
    (y, u, v), coded = tiles
    path = tmp_path / "a.heic"
    path.write_bytes(grid_file(coded, size, in_idat=in_idat))
    source, frames = read_all(path)
    width, height = size
    assert frames.y.shape == (1, height, width) and source.warnings == []
    assert np.array_equal(frames.y[0], y[:height, :width])
    half = ((height + 1) // 2, (width + 1) // 2)
    assert np.array_equal(frames.u[0], u[: half[0], : half[1]])
    assert np.array_equal(frames.v[0], v[: half[0], : half[1]])


@pytest.mark.parametrize(
    ("properties", "shown"),
    [
        ([box(b"irot", b"\1")], lambda y: np.rot90(y, 1)),
        ([box(b"irot", b"\3")], lambda y: np.rot90(y, 3)),
        ([box(b"imir", b"\1")], lambda y: y[:, ::-1]),
        ([box(b"imir", b"\0")], lambda y: y[::-1]),
        ([box(b"irot", b"\1"), box(b"imir", b"\1")], lambda y: np.rot90(y, 1)[:, ::-1]),
    ],
)
def test_a_grid_is_turned_as_a_whole(tiles, tmp_path, properties, shown):
    (y, _, _), coded = tiles
    path = tmp_path / "a.heic"
    path.write_bytes(grid_file(coded, (128, 96), properties=properties))
    _, frames = read_all(path)
    assert np.array_equal(frames.y[0], shown(y))


def test_a_folder_of_grids(tiles, tmp_path):
    (y, _, _), coded = tiles
    mirrors = [[], [box(b"imir", b"\1")]]
    for number, properties in enumerate(mirrors):
        data = grid_file(coded, (128, 96), properties=properties)
        (tmp_path / f"{number}.heic").write_bytes(data)
    _, frames = read_all(tmp_path)
    assert np.array_equal(frames.y, [y, y[:, ::-1]])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"listed": (2, 3, 4, 9)}, "not by a plain grid of tiles"),
        ({"size": (600, 96)}, "do not make up the picture"),
        ({"size": (65535, 65535)}, "at most"),
    ],
)
def test_what_cannot_be_composed_is_refused_with_the_reason(tiles, tmp_path, changes, reason):
    path = tmp_path / "a.heic"
    path.write_bytes(grid_file(tiles[1], **{"size": (128, 96), **changes}))
    with pytest.raises(VideoError, match=reason):
        open_source(path)


def test_extents_without_bytes_take_no_time(tiles, tmp_path):
    """8 bytes announce 65,535 extents; libav reads the first table of the file, nvcodec the last."""
    entries = 2000
    locations = struct.pack(">HHHH", 9, 0, 0, 65535) * entries
    table = full_box(b"iloc", struct.pack(">BBH", 0, 0, entries), locations, version=1)
    path = tmp_path / "a.heic"
    path.write_bytes(grid_file(tiles[1], (128, 96), more=table))
    began = time.monotonic()
    with pytest.raises(VideoError, match="not by a plain grid of tiles"):
        open_source(path)
    assert time.monotonic() - began < 5


def test_a_damaged_tile_is_an_error(tiles, tmp_path):
    data = grid_file(tiles[1], (128, 96))
    path = tmp_path / "a.heic"
    path.write_bytes(data[: len(data) - len(tiles[1][3][1])])
    with pytest.raises(VideoError, match="tile"):
        open_source(path)
