"""Tests of cropping that a container asks for."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from nvcodec.video.sources.cropping import Crop
from tests.fixtures.videos import read_all

CROP = {"bottom": 0x54AA, "top": 0x54BB, "left": 0x54CC, "right": 0x54DD}
SEGMENT, SEEK_HEAD, TRACKS, ENTRY, VIDEO = 0x18538067, 0x114D9B74, 0x1654AE6B, 0xAE, 0xE0
CUES, EBML = 0x1C53BB6B, 0x1A45DFA3


def parse(data):
    """Return the EBML elements in some bytes as pairs of number and contents."""
    found, position = [], 0
    while position < len(data):
        kind = 9 - data[position].bit_length()
        size = 9 - data[position + kind].bit_length()
        start = position + kind + size
        length = int.from_bytes(data[position + kind : start], "big") & (1 << 7 * size) - 1
        number = int.from_bytes(data[position : position + kind], "big")
        found.append((number, data[start : start + length]))
        position = start + length
    return found


def element(number, data):
    """Return an EBML element; its size takes eight bytes."""
    name = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return name + (1 << 56 | len(data)).to_bytes(8, "big") + data


def join(elements):
    return b"".join(element(number, data) for number, data in elements)


def with_pixel_crop(data, tracks_last, crop):
    """Return a Matroska file whose tracks ask for a crop; they may stand behind the clusters."""
    (_, head), (_, body) = parse(data)[:2]
    parts = [part for part in parse(body) if part[0] not in (SEEK_HEAD, CUES)]
    (tracks,) = (contents for number, contents in parts if number == TRACKS)
    added = join((CROP[side], bytes([samples])) for side, samples in crop.items())
    changed = [
        (
            number,
            join((n, d + added if n == VIDEO else d) for n, d in parse(entry))
            if number == ENTRY
            else entry,
        )
        for number, entry in parse(tracks)
    ]
    others = [part for part in parts if part[0] != TRACKS]
    parts = [*others[:1], (TRACKS, join(changed)), *others[1:]]
    if tracks_last:  # where `mkvpropedit` moves them when they no longer fit
        position = 0
        for _ in range(2):
            fields = [(0x53AB, TRACKS.to_bytes(4, "big")), (0x53AC, position.to_bytes(8, "big"))]
            seek = (SEEK_HEAD, join([(0x4DBB, join(fields))]))
            position = len(join([seek, *others]))
        parts = [seek, *others, (TRACKS, join(changed))]
    return join([(EBML, head), (SEGMENT, join(parts))])


@pytest.mark.parametrize("tracks_last", [False, True])
@pytest.mark.parametrize("crop", [{"top": 8}, {"left": 6, "right": 2, "top": 4, "bottom": 10}])
def test_pixel_crop_of_matroska(make_clip, tmp_path, crop, tracks_last):
    plain = make_clip("a.mkv", frames=2, size=(64, 48))
    _, whole = read_all(plain)
    path = tmp_path / "b.mkv"
    path.write_bytes(with_pixel_crop(plain.read_bytes(), tracks_last, crop))
    source, frames = read_all(path)
    kept = Crop(**crop)
    rows, columns = slice(kept.top, 48 - kept.bottom), slice(kept.left, 64 - kept.right)
    assert (source.info.height, source.info.width) == whole.y[0, rows, columns].shape
    assert np.array_equal(frames.y, whole.y[:, rows, columns])
    half = slice(kept.top // 2, 24 - kept.bottom // 2), slice(kept.left // 2, 32 - kept.right // 2)
    assert np.array_equal(frames.u, whole.u[:, half[0], half[1]])


def test_clean_aperture_of_mp4(make_clip, tmp_path):
    plain = make_clip("a.mp4", frames=2, size=(64, 48))
    _, whole = read_all(plain)
    # 50 columns of 64, moved two to the right of the centre; 40 rows of 48.
    clap = struct.pack(">I4sIIIIiIiI", 40, b"clap", 50, 1, 40, 1, 2, 1, 0, 1)
    data = plain.read_bytes()
    place = data.index(b"avcC") - 4  # among the boxes of the sample entry
    data = data[:place] + clap + data[place:]
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"):
        start = data.rindex(kind, 0, place) - 4 if kind != b"moov" else data.index(kind) - 4
        size = struct.unpack(">I", data[start : start + 4])[0] + len(clap)
        data = data[:start] + struct.pack(">I", size) + data[start + 4 :]
    path = tmp_path / "b.mp4"
    path.write_bytes(data)  # the samples lie in front of the header, where they were
    source, frames = read_all(path)
    assert (source.info.width, source.info.height) == (50, 40)
    assert np.array_equal(frames.y, whole.y[:, 4:44, 8:58])  # 9 is rounded to where chroma lies


def test_a_crop_that_leaves_nothing_is_ignored():
    assert Crop(left=40, right=30).size(64, 48) is None
    assert Crop(left=-4).size(64, 48) is None
    assert Crop().size(64, 48) is None
    assert Crop(top=47).size(64, 48) == (64, 1)
