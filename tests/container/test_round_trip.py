"""Tests that everything written to a stream is read back: contents, times, packets, lookups."""

import io
import itertools
import os
import random
import tracemalloc
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
    read_forward,
)
from nvcodec.container.packets import write_packets
from nvcodec.errors import TruncatedStreamError
from nvcodec.media import Packet, VideoInfo


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


class TricklePipe(io.RawIOBase):
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
    sections = list(read_forward(TricklePipe(data)))
    assert sections[:4] == [
        samples.HEADER,
        Metadata(entries=samples.METADATA),
        TrackSection(index=0, track=samples.TRACKS[0]),
        TrackSection(index=1, track=samples.TRACKS[1]),
    ]
    assert [part for part in sections if isinstance(part, Segment)] == list(samples.SEGMENTS)
    packets = [part for part in sections if isinstance(part, PacketsSection)]
    assert [p for part in packets if part.track == 1 for p in part.packets] == samples.ODD_PACKETS
    with pytest.raises(TruncatedStreamError):
        list(read_forward(TricklePipe(data[:-1])))
    with Reader(TricklePipe(data)) as reader:
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


def _one_segment(pts, durations, payload=b"net") -> bytes:
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
        reader = Reader(_one_segment(pts, durations))
        segment = reader.segment(0)
        assert segment.pts == tuple(pts)
        assert segment.durations == tuple(durations)
        assert segment.payload == b"net"
        assert reader.duration == Fraction(pts[-1] + durations[-1] - pts[0], 1000)
    # Millisecond clocks make nearly every Matroska file irregular, so irregular times must be cheap.
    ticks = [round(k * 1001 / 24) for k in range(241)]
    gaps = [b - a for a, b in itertools.pairwise(ticks)]
    assert len(_one_segment(ticks[:-1], gaps)) - len(_one_segment(range(240), [1] * 240)) < 60


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


def test_opening_makes_no_object_per_segment(samples):
    count, file = 16_000, io.BytesIO()
    with Writer(file) as writer:
        writer.header(samples.HEADER)
        for number in range(count):
            writer.segment(
                Segment(
                    first_frame=number, pts=(number,), durations=(1,), payload=b"x", predicted=False
                )
            )
        writer.finish()
    file.seek(0)
    tracemalloc.start()
    try:
        reader = Reader(file)
        assert len(reader.segments) == reader.frame_count == count
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # The index itself has about 10 bytes per segment, and an object of three numbers about 200.
    assert peak < 250 * count, f"{peak / count:.0f} bytes per segment"
