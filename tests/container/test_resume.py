"""Tests of resuming an interrupted file and of appending to a finished one."""

import io
import os

import pytest

from nvcodec.container import Reader, Writer
from nvcodec.errors import BitstreamError, ChecksumError


def _finish(samples, writer: Writer) -> None:
    done = writer.resumed
    if done is None:
        samples.write_start(writer)
        samples.write_rest(writer, 0)
        return
    assert done.header == samples.HEADER
    assert done.tracks == samples.TRACKS
    assert done.frames == 4 * done.segments
    odd = len(samples.ODD_PACKETS) if done.segments > 1 else 0
    assert done.packets == (3 * done.segments, odd)
    samples.write_rest(writer, done.segments)


def test_cut_anywhere_and_resumed_gives_the_same_bytes(samples):
    data = samples.stream()
    ends = [entry.offset + entry.size for entry in Reader(data).segments]
    for cut in range(len(data) + 1):
        file = io.BytesIO(data[:cut])
        writer = Writer.resume(file)
        kept = writer.resumed.segments if writer.resumed else 0
        assert kept == sum(end <= cut for end in ends)
        _finish(samples, writer)
        assert file.getvalue() == data, cut


def test_resume_on_disk(samples, tmp_path):
    data = samples.stream()
    path = tmp_path / "part.nvc"
    path.write_bytes(data[: len(data) // 2] + b"garbage of a crash" * 9)
    with Writer.resume(path) as writer:
        _finish(samples, writer)
    assert path.read_bytes() == data


def test_segments_are_on_disk_when_the_call_returns(samples, tmp_path, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda number: (synced.append(number), real(number)))
    path = tmp_path / "a.nvc"
    with Writer(path) as writer:
        samples.write_start(writer)
        for number in range(3):
            samples.write_group(writer, number)
            assert len(synced) == number + 1
            reader = Reader(path.read_bytes())
            assert not reader.complete
            assert reader.segment(number) == samples.SEGMENTS[number]


def test_damage_in_the_middle_is_cut_too(samples):
    data = bytearray(samples.stream())
    damaged = Reader(bytes(data)).segments[2]
    data[damaged.offset + damaged.size - 6] ^= 1
    file = io.BytesIO(data)
    writer = Writer.resume(file)
    assert writer.resumed.segments == 2
    _finish(samples, writer)
    assert file.getvalue() == samples.stream()


@pytest.mark.parametrize("reopen", [Writer.resume, Writer.append])
def test_other_files_are_not_changed(samples, reopen, tmp_path):
    data = samples.stream()
    flips = [bytearray(data) for _ in range(5)]
    track = data.index(b"trak") + 8
    for flipped, position in zip(flips, (0, 8, 14, 30, track), strict=True):
        flipped[position] ^= 0x60
    for content in (b"RIFF....", b"hello", *map(bytes, flips)):
        path = tmp_path / "other"
        path.write_bytes(content)
        with pytest.raises(BitstreamError):
            reopen(path)
        assert path.read_bytes() == content


def test_append(samples):
    whole = io.BytesIO()
    writer = Writer(whole)
    samples.write_start(writer)
    samples.write_rest(writer, 0, 2)
    first = whole.getvalue()
    writer = Writer.append(whole)
    assert writer.resumed.segments == 2
    assert writer.resumed.packets == (9, 7)  # trailing packets are kept
    samples.write_group(writer, 2)
    writer.segment(samples.SEGMENTS[3])
    writer.finish()
    reader = Reader(whole.getvalue())
    assert reader.verify() == ()
    assert [reader.segment(k) for k in range(4)] == list(samples.SEGMENTS)
    assert reader.metadata == samples.METADATA
    # Nothing added: the same file again.
    again = io.BytesIO(first)
    Writer.append(again).finish()
    assert again.getvalue() == first
    for cut in (len(first) - 1, len(first) - 20, 100, 0):
        with pytest.raises(BitstreamError):
            Writer.append(io.BytesIO(first[:cut]))
    flipped = bytearray(first)
    flipped[reader.segments[0].offset + 20] ^= 1
    with pytest.raises(BitstreamError) as caught:
        Writer.append(io.BytesIO(flipped))
    assert not isinstance(caught.value, ChecksumError)
