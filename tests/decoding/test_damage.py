"""Damaged and hostile streams: a typed error or a warning, and the rest of the video decodes."""

from __future__ import annotations

import random
import tracemalloc
from fractions import Fraction
from io import BytesIO

import numpy as np
import pytest

import nvcodec
from nvcodec.container import Header, Reader, Segment, Writer
from nvcodec.errors import BitstreamError, NvcodecError, UnsupportedVersionError
from nvcodec.media import ColourMode, VideoInfo
from nvcodec.models.hnerv.config import HNeRVConfig
from nvcodec.models.nerv.config import NeRVConfig


@pytest.fixture
def whole(small) -> tuple[bytes, dict[int, bytes]]:
    """Return a stream, and the luma of its frames by timestamp."""
    return small.read_bytes(), _frames(small.read_bytes())[0]


def _frames(data: bytes) -> tuple[dict[int, bytes], bool]:
    """Decode all frames that can be; return their luma by timestamp, and whether damage is reported."""
    with nvcodec.open(data, device="cpu") as video:
        found = {}
        for part in video.frames():
            for luma, tick in zip(part.y, part.pts.tolist(), strict=True):
                found[tick] = luma.tobytes()
        return found, bool(video.warnings or video.reader.damage)


def test_every_truncation(whole):
    data, frames = whole
    with Reader(data) as reader:
        ends = [entry.offset + entry.size for entry in reader.segments]
    ticks = sorted(frames)
    for cut in sorted({*range(0, len(data), 7), *ends, *(end - 1 for end in ends)}):
        encode_once = sum(end <= cut for end in ends)
        try:
            found, reported = _frames(data[:cut])
        except BitstreamError:
            assert not encode_once, cut
            continue
        assert reported
        assert sorted(found) == ticks[: 3 * encode_once]
        assert all(found[tick] == frames[tick] for tick in found)


def test_flipped_bytes(whole):
    data, frames = whole
    errors = reports = 0
    positions = {*range(90), *range(90, len(data) - 80, 11), *range(len(data) - 80, len(data))}
    for position in sorted(positions):
        for value in (0x01, 0x80):
            damaged = bytearray(data)
            damaged[position] ^= value
            try:
                found, reported = _frames(bytes(damaged))
            except NvcodecError:
                errors += 1
                continue
            reports += reported
            # A frame that decodes is correct, and a missing one is reported.
            assert all(found[tick] == frames[tick] for tick in found), position
            assert reported or len(found) == len(frames), position
    assert errors > 50 and reports > 50


def test_a_lost_segment_costs_its_own_frames(stream, tmp_path):
    data = bytearray(stream.read_bytes())
    with Reader(bytes(data)) as reader:
        entry = reader.segments[1]
    data[entry.offset + entry.size - 40] ^= 4
    path = tmp_path / "damaged.nvc"
    path.write_bytes(data)
    with nvcodec.open(path, device="cpu") as video, nvcodec.open(stream, device="cpu") as good:
        assert len(video) == 12
        assert (video[[0, 3, 8, 11]] == good[[0, 3, 8, 11]]).all()
        with pytest.raises(BitstreamError):
            video[5]
        assert sum(len(part) for part in video.frames()) == 8
        (line,) = video.warnings
        assert "frames 4..7" in line
    decoded = nvcodec.decode(path, tmp_path / "out.mkv")
    assert decoded.frames == 8
    assert any("4..7" in line for line in decoded.warnings)


def test_files_without_a_readable_segment_are_refused(small, tmp_path):
    with Reader(small) as reader:
        entries = reader.segments
    data = bytearray(small.read_bytes())
    for entry in entries:
        data[entry.offset + entry.size - 20] ^= 1
    path = tmp_path / "damaged.nvc"
    path.write_bytes(data)
    with pytest.raises(BitstreamError):
        nvcodec.decode(path, tmp_path / "out.y4m")
    assert not (tmp_path / "out.y4m").exists()


def _stream_of(
    config, payload: bytes, *, model: int, frames: int = 4, colour=ColourMode.RGB
) -> bytes:
    """Return a well-formed stream with any configuration and payload."""
    file = BytesIO()
    writer = Writer(file)
    height, width = config.size
    base = Fraction(1, 25)
    info = VideoInfo(width=width, height=height, time_base=base, frame_rate=1 / base)
    writer.header(Header(video=info, model=model, colour_mode=colour, configuration=config.pack()))
    writer.segment(
        Segment(first_frame=0, pts=list(range(frames)), durations=[1] * frames, payload=payload)
    )
    writer.finish()
    return file.getvalue()


def _hostile() -> dict[str, tuple[object, int]]:
    """Return configurations of huge networks, each with its model number."""
    sizes = {"frames": 4, "colour": ColourMode.RGB}
    return {
        "wide": (
            HNeRVConfig(size=(64, 64), strides=(2,), kernels=(15,), widths=(4096, 4096), **sizes),
            2,
        ),
        "far": (
            HNeRVConfig(size=(16, 16), strides=(8,) * 8, kernels=(1,) * 8, widths=(1,) * 9,
                        **sizes),
            2,
        ),
        "large": (
            HNeRVConfig(size=(8192, 8192), strides=(2, 2), kernels=(3, 3), widths=(9, 9, 9),
                        **sizes),
            2,
        ),
        "hidden": (
            NeRVConfig(size=(8192, 8192), strides=(1,), kernels=(1,), widths=(4096, 1),
                       hidden=65535, **sizes),
            1,
        ),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["wide", "far", "large", "hidden"])
@pytest.mark.parametrize("length", [0, 100, 3000])
def test_hostile_sizes_allocate_nothing(name, length):
    config, model = _hostile()[name]
    payload = b"\0" + random.Random(0).randbytes(length)
    data = _stream_of(config, payload, model=model)
    tracemalloc.start()
    try:
        with nvcodec.open(data, device="cpu") as video:
            for use in (lambda: video[0], lambda: video[:], lambda: video.planes([1, 2])):
                with pytest.raises(BitstreamError):
                    use()
            assert list(video.frames()) == [] and video.warnings
        nvcodec.inspect(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 32 << 20, f"{peak >> 20} MiB for a file of {len(data)} bytes"


def test_an_unknown_model_is_named():
    config = HNeRVConfig(
        size=(16, 16), frames=4, colour=ColourMode.RGB, strides=(2,), kernels=(1,), widths=(4, 4)
    )
    data = _stream_of(config, b"\0" * 50, model=99)
    with pytest.raises(UnsupportedVersionError, match="99"):
        nvcodec.inspect(data)
    with nvcodec.open(data) as video, pytest.raises(UnsupportedVersionError, match="99"):
        video[0]


def test_garbage_payloads(small):
    with Reader(small) as reader:
        header, first = reader.header, reader.segment(0)
    chooser = random.Random(0)
    config = NeRVConfig.unpack(
        header.configuration,
        size=(header.video.height, header.video.width),
        frames=3,
        colour=header.colour_mode,
    )
    for _ in range(60):
        payload = bytearray(first.payload)
        for _ in range(chooser.randrange(1, 5)):
            payload[chooser.randrange(min(120, len(payload)))] = chooser.randrange(256)
        data = _stream_of(config, bytes(payload), model=1, frames=3, colour=header.colour_mode)
        with nvcodec.open(data, device="cpu") as video:
            try:
                assert video[0].dtype == np.uint8
            except BitstreamError as error:
                assert "\n" not in str(error)
