"""Tests of folders of images: hidden files, timestamps, and the orientation of each image."""

from __future__ import annotations

import dataclasses
import struct
import zlib
from fractions import Fraction

import av
import numpy as np
import pytest

from nvcodec.decoding.comparison import compare
from nvcodec.video import open_sink, open_source
from tests.fixtures.videos import VFR, read_all, synthetic_frames, video_info

# What a camera stores of a picture that is shown upright, for each EXIF orientation.
STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}


def exif(orientation, order):
    """Return a TIFF structure that holds nothing but an orientation; `order` is `<` or `>`."""
    mark = b"II*\0\x08\0\0\0" if order == "<" else b"MM\0*\0\0\0\x08"
    entry = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0)
    return mark + struct.pack(f"{order}H", 1) + entry + bytes(4)


def save_image(path, upright, orientation=None, order="<"):
    """Write a grey picture (H, W) as JPEG or PNG, stored as a camera held another way stores it."""
    stored = np.ascontiguousarray(STORED[orientation or 1](upright))
    frame = av.VideoFrame.from_ndarray(np.repeat(stored[..., None], 3, axis=-1), "rgb24")
    frame.save(path)
    if orientation is None:
        return
    data = path.read_bytes()
    tag = exif(orientation, order)
    if path.suffix == ".png":
        chunk = b"eXIf" + tag
        added = struct.pack(">I", len(tag)) + chunk + struct.pack(">I", zlib.crc32(chunk))
        path.write_bytes(data[:33] + added + data[33:])  # behind IHDR
    else:
        payload = b"Exif\0\0" + tag
        path.write_bytes(
            data[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(payload)) + payload + data[2:]
        )


def quarters(width, height):
    """Return a grey picture whose four quarters differ, shape (H, W)."""
    picture = np.full((height, width), 60, np.uint8)
    picture[: height // 2, width // 2 :] = 110
    picture[height // 2 :, : width // 2] = 160
    picture[height // 2 :, width // 2 :] = 210
    return picture


def test_hidden_companions_are_no_frames(tmp_path):
    """macOS leaves a file of 4096 bytes, `._NAME`, beside each one on foreign file systems."""
    folder = tmp_path / "images"
    info = dataclasses.replace(video_info(), time_base=Fraction(1, 1000), frame_rate=Fraction(10))
    with open_sink(folder, info) as sink:
        sink.write(synthetic_frames(6, pts=VFR))
    plain_bytes = compare(folder, folder).video_bytes
    for file in sorted(folder.iterdir()):
        (folder / f"._{file.name}").write_bytes(b"\0\x05\x16\x07\0\x02\0\0Mac OS X" + bytes(4080))
    source, frames = read_all(folder)
    assert not any("ignored" in warning or "left out" in warning for warning in source.warnings)
    assert source.info.frame_rate == 10
    assert [int(p) * source.info.time_base for p in frames.pts] == [Fraction(p, 1000) for p in VFR]
    assert compare(folder, folder).video_bytes == plain_bytes


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_every_image_is_turned_upright(tmp_path, suffix):
    upright = quarters(48, 32)
    for number, orientation in enumerate((1, None, 6, 8, 2, 3, 4, 5, 7)):
        order = "<>"[number % 2]
        save_image(tmp_path / f"{number}.{suffix}", upright, orientation, order)
    source, frames = read_all(tmp_path)
    assert (source.info.width, source.info.height) == (48, 32)
    assert not any("size changes" in warning for warning in source.warnings)
    for t in range(1, len(frames)):
        error = frames.y[t].astype(int) - frames.y[0]
        assert np.abs(error).mean() < 2, f"image {t}"


def test_the_upright_size_of_the_first_image_decides(tmp_path):
    save_image(tmp_path / "1.jpg", quarters(32, 48), 6)
    save_image(tmp_path / "2.jpg", quarters(48, 32))
    save_image(tmp_path / "3.jpg", quarters(32, 48))
    source, frames = read_all(tmp_path)
    assert frames.y.shape == (3, 48, 32)
    assert (
        "the picture size changes mid-stream; 1 frames were scaled to the first size, 32x48"
        in source.warnings
    )


def test_a_damaged_exif_block_leaves_the_picture_as_it_is(tmp_path):
    save_image(tmp_path / "1.jpg", quarters(48, 32), 6)
    data = (tmp_path / "1.jpg").read_bytes()
    # The first directory lies far behind the end of the block.
    (tmp_path / "1.jpg").write_bytes(data.replace(b"II*\0\x08\0\0\0", b"II*\0\xff\xff\xff\x7f"))
    with open_source(tmp_path) as source:
        assert (source.info.width, source.info.height) == (32, 48)
