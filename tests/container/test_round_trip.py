import io
import itertools
import os
import random
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from nvcodec.container import (
    Header,
    Metadata,
    PacketsSection,
    Reader,
    Segment,
    TrackSection,
    Writer,
    framing,
    read_forward,
)
from nvcodec.container.packets import write_packets
from nvcodec.errors import BitstreamError, ConfigError, TruncatedStreamError
from nvcodec.media import Packet, Track, VideoInfo


def test_everything_comes_back(samples, tmp_path):
    data = samples.stream()
    path = tmp_path / "a.nvc"
    path.write_bytes(data)
    with open(path, "rb") as file:
        for source in (data, path, str(path), file, io.BytesIO(data)):
            with Reader(source) as reader:
                assert reader.version == (1, 0)
                assert reader.header == samples.HEADER
                assert tuple(reader.tracks.values()) == samples.TRACKS
                assert list(reader.tracks) == [0, 1]
                assert reader.metadata == samples.METADATA
                assert reader.complete
                assert reader.verify() == ()
                assert reader.frame_count == 16
                for number, segment in enumerate(samples.SEGMENTS):
                    assert reader.segment(number) == segment
                    assert reader.payload(number) == segment.payload
                    entry = reader.segments[number]
                    assert (entry.index, entry.first_frame, entry.frames) == (number, 4 * number, 4)
                    assert data[entry.offset : entry.offset + 4] == b"SEGM"
                expected = [packet for number in range(5) for packet in samples.audio(number)]
                assert list(reader.packets(0)) == expected
                assert list(reader.packets(1)) == samples.ODD_PACKETS
                assert list(reader.packets(2)) == []
                assert reader.video_bytes + reader.track_bytes == len(data) == reader.file_bytes
                assert reader.duration == Fraction(16 * 1001, 30000)
        assert not file.closed


def test_one_segment_takes_little():
    file = io.BytesIO()
    writer = Writer(file)
    video = VideoInfo(
        width=1920, height=1080, time_base=Fraction(1, 90000), frame_rate=Fraction(60000, 1001)
    )
    writer.header(Header(video=video, model=1, configuration=bytes(24)))
    pts = np.arange(600, dtype=np.int64) * 1502
    writer.segment(
        Segment(first_frame=0, pts=pts, durations=np.full(600, 1502), payload=bytes(100_000))
    )
    writer.finish()
    overhead = len(file.getvalue()) - 100_000
    assert overhead - 24 <= 100
    assert overhead <= 150
    reader = Reader(file.getvalue())
    assert reader.segment(0).pts == tuple(pts.tolist())


class Pipe(io.RawIOBase):
    """Hands out a few bytes at a time and cannot seek."""

    def __init__(self, data: bytes) -> None:
        self._data, self._position = data, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        part = self._data[self._position : self._position + min(len(buffer), 7)]
        buffer[: len(part)] = part
        self._position += len(part)
        return len(part)


def test_front_to_back_from_a_pipe(samples):
    data = samples.stream()
    found = list(read_forward(Pipe(data)))
    assert found[:4] == [
        samples.HEADER,
        Metadata(entries=samples.METADATA),
        TrackSection(index=0, track=samples.TRACKS[0]),
        TrackSection(index=1, track=samples.TRACKS[1]),
    ]
    assert [one for one in found if isinstance(one, Segment)] == list(samples.SEGMENTS)
    packets = [one for one in found if isinstance(one, PacketsSection)]
    assert [p for one in packets if one.track == 1 for p in one.packets] == samples.ODD_PACKETS
    with pytest.raises(TruncatedStreamError):
        list(read_forward(Pipe(data[:-1])))
    with Reader(Pipe(data)) as reader:
        assert reader.complete
        assert reader.frame_count == 16


def test_a_pipe_can_be_written():
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as source, os.fdopen(write_end, "wb") as target:
        writer = Writer(target)
        writer.header(
            Header(
                video=VideoInfo(
                    width=2, height=2, time_base=Fraction(1, 25), frame_rate=Fraction(25)
                ),
                model=0,
            )
        )
        writer.segment(Segment(first_frame=0, pts=[3], durations=[0], payload=b"p"))
        writer.finish()
        target.close()
        assert Reader(source.read()).segment(0).pts == (3,)


def _one(pts, durations, payload=b"net") -> bytes:
    file = io.BytesIO()
    writer = Writer(file)
    video = VideoInfo(
        width=65535, height=1, time_base=Fraction(1, 1000), frame_rate=Fraction(2**31 - 1, 1)
    )
    writer.header(Header(video=video, model=255))
    writer.segment(Segment(first_frame=0, pts=pts, durations=durations, payload=payload))
    writer.finish()
    return file.getvalue()


def test_variable_times():
    rng = random.Random(1)
    top = 2**61 - 1
    cases = [
        ([0], [0]),
        ([-7], [top]),
        ([-top, top], [0, 0]),
        ([-top, 0, top], [top, 0, top]),
        ([5, 6], [1, 2]),
        ([0, 33, 67, 100, 133], [33, 34, 33, 33, 33]),
        ([0, 33, 67], [0, 0, 0]),
        (range(2**16), [1] * 2**16),
    ]
    for count in (2, 3, 100, 5000):
        pts = sorted(rng.sample(range(-(10**9), 10**9), count))
        cases.append((pts, [rng.randrange(10**6) for _ in pts]))
    for pts, durations in cases:
        reader = Reader(_one(pts, durations))
        segment = reader.segment(0)
        assert segment.pts == tuple(pts)
        assert segment.durations == tuple(durations)
        assert segment.payload == b"net"
        assert reader.duration == Fraction(pts[-1] + durations[-1] - pts[0], 1000)
    # Millisecond clocks make nearly every Matroska file irregular: it must stay cheap.
    ticks = [round(k * 1001 / 24) for k in range(241)]
    gaps = [b - a for a, b in itertools.pairwise(ticks)]
    assert len(_one(ticks[:-1], gaps)) - len(_one(range(240), [1] * 240)) < 60


def test_find_by_frame_and_time(samples):
    reader = Reader(samples.stream())
    assert [reader.segment_of(frame).index for frame in (0, 3, 4, 15)] == [0, 0, 1, 3]
    for frame in (-1, 16, 10**9):
        with pytest.raises(IndexError):
            reader.segment_of(frame)
    base = samples.HEADER.video.time_base
    for entry in reader.segments:
        assert reader.segment_at(entry.start * base) == entry
        assert reader.segment_at(float(entry.start * base) + 1e-6) == entry
        assert reader.segment_at((entry.start - Fraction(1, 2)) * base).index == max(
            entry.index - 1, 0
        )
    assert reader.segment_at(-5).index == 0
    assert reader.segment_at(1e9).index == 3
    assert [reader.needed(index) for index in range(4)] == [
        range(1),
        range(2),
        range(2, 3),
        range(3, 4),
    ]
    for index in (-1, 4):
        with pytest.raises(IndexError):
            reader.segment(index)
        with pytest.raises(IndexError):
            reader.needed(index)


def test_many_packets_are_spread_over_sections(samples):
    packets = [Packet(data=bytes(100_000), pts=k, dts=k, duration=1) for k in range(30)]
    packets += [Packet(data=b"", pts=None, dts=None)] * 70_000
    file = io.BytesIO()
    writer = Writer(file)
    samples.write_start(writer)
    writer.packets(0, packets)
    writer.segment(samples.SEGMENTS[0])
    writer.finish()
    reader = Reader(file.getvalue())
    assert list(reader.packets(0)) == packets
    assert max(len(p) for p in write_packets(0, packets)) < 2**21


@pytest.mark.parametrize(
    "change",
    [
        {"width": 0},
        {"height": 65536},
        {"width": 65535, "height": 1025},
        {"time_base": Fraction(0)},
        {"time_base": Fraction(-1, 25)},
        {"frame_rate": Fraction(2**31)},
        {"sample_aspect_ratio": Fraction(1, 2**31)},
    ],
)
def test_impossible_headers_are_refused(samples, change):
    file = io.BytesIO()
    header = replace(samples.HEADER, video=replace(samples.HEADER.video, **change))
    with pytest.raises(ConfigError):
        Writer(file).header(header)
    assert file.getvalue() == b""


def test_impossible_segments_are_refused(samples):
    def attempt(**change):
        writer = Writer(io.BytesIO())
        writer.header(samples.HEADER)
        with pytest.raises(ConfigError):
            writer.segment(replace(samples.SEGMENTS[0], **change))

    attempt(first_frame=1)
    attempt(pts=(), durations=())
    attempt(pts=(0,), durations=(1, 1))
    attempt(pts=(0, 0), durations=(1, 1))
    attempt(pts=(0, 1), durations=(1, -1))
    attempt(pts=(0, 2**61), durations=(1, 1))
    attempt(pts=range(2**16 + 1), durations=[1] * (2**16 + 1))
    attempt(predicted=True)


def test_calls_in_impossible_order_are_refused(samples):
    def fresh(*calls):
        writer = Writer(io.BytesIO())
        for name, *arguments in calls:
            getattr(writer, name)(*arguments)
        return writer

    head, one = ("header", samples.HEADER), ("segment", samples.SEGMENTS[0])
    for calls in (
        [one],
        [("finish",)],
        [("track", samples.TRACKS[0])],
        [("metadata", {})],
        [head, head],
        [head, ("finish",)],
        [head, ("packets", 0, [])],
        [head, one, ("track", samples.TRACKS[0])],
        [head, one, one],
        [head, one, ("segment", samples.SEGMENTS[2])],
        [head, one, ("segment", replace(samples.SEGMENTS[1], pts=(3003,), durations=(1,)))],
        [head, one, ("finish",), ("finish",)],
        [head, one, ("finish",), ("segment", samples.SEGMENTS[1])],
        [head, ("track", Track(kind="data", codec="x", time_base=Fraction(1)))],
        [head, ("track", Track(kind="audio", codec="x" * 256, time_base=Fraction(1)))],
        [head, ("track", Track(kind="audio", codec="x", time_base=Fraction(1), title="\ud800"))],
    ):
        with pytest.raises(ConfigError):
            fresh(*calls)


def test_unknown_sections(samples):
    data = samples.stream()
    at = Reader(data).segments[1].offset
    skipped = data[:at] + framing.section("xtra", b"?" * 300) + data[at:]
    reader = Reader(skipped)  # by scanning: the index does not know the section
    assert [reader.segment(k) for k in range(4)] == list(samples.SEGMENTS)
    assert len([s for s in read_forward(io.BytesIO(skipped)) if isinstance(s, Segment)]) == 4
    # A whole file of a later minor version: resumed or appended to, it is refused, read, it is not.
    later = bytearray(data)
    later[9] = 3
    size = later[14]
    end = 15 + size
    later[end : end + 4] = framing.section("HEAD", bytes(later[15:end]), before=bytes(later[:10]))[
        -4:
    ]
    assert Reader(bytes(later)).version == (1, 3)
    assert Reader(bytes(later)).complete
    for take_up in (Writer.resume, Writer.append):
        with pytest.raises(BitstreamError, match=r"1\.3"):
            take_up(io.BytesIO(later))
    refused = data[:at] + framing.section("XTRA", b"?") + data[at:]
    for read in (Reader, lambda stream: list(read_forward(io.BytesIO(stream)))):
        with pytest.raises(BitstreamError, match=f"XTRA section, byte {at}") as caught:
            read(refused)
        assert "unknown critical" in str(caught.value)
