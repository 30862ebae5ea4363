"""Indices of many sections: read as columns, without an object per section, and checked as others."""

from __future__ import annotations

import json
import random
import time
import tracemalloc
from dataclasses import replace
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import pytest
import torch

from nvcodec.cli import main
from nvcodec.container import Reader, index, section_list
from nvcodec.container.fields import Cursor, encode_varint
from nvcodec.container.framing import PREAMBLE, write_section
from nvcodec.container.header import write_header
from nvcodec.container.index import Index, read_index, write_end, write_index
from nvcodec.container.section_list import IndexEntry, SectionList
from nvcodec.container.segment_section import MAX_SEGMENT_FRAMES, SegmentSummary
from nvcodec.decoding.inspection import inspect
from nvcodec.decoding.segment_cache import SegmentCache
from nvcodec.errors import BitstreamError

SEGMENTS = 30_000
STREAM = Path(__file__).parents[1] / "golden" / "v1" / "nerv-rgb" / "stream.nvc"


def entries_of(count: int, seed: int = 0) -> list[IndexEntry]:
    """Return sections of all kinds, whose numbers take one byte or many."""
    chance = random.Random(seed)
    entries, offset, frame, start = [], len(PREAMBLE), 0, chance.choice([-(2**61) + 1, -5, 0, 7])
    for place in range(count):
        kinds = ("SEGM", "SEGM", "SEGM", "pack", "pack", "other", "trak", "meta")
        kind = chance.choice(kinds) if place else "HEAD"
        size = 9 + chance.getrandbits(chance.choice([1, 7, 14, 31]))
        summary = None
        if kind == "SEGM":
            frames = 1 + chance.getrandbits(chance.choice([1, 7, 16]))
            predicted = frame > 0 and chance.random() < 0.3
            summary = SegmentSummary(
                first_frame=frame, frames=frames, start=start, predicted=predicted
            )
            frame += frames
            start += 1 + chance.getrandbits(chance.choice([1, 8, 30, 44]))
        track = chance.randrange(256) if kind == "pack" else 0
        entries.append(
            IndexEntry(kind=kind, offset=offset, size=size, track=track, segment=summary)
        )
        offset += size
    return entries


def read(payload: bytes):
    return read_index(Cursor(payload, section="indx", offset=0))


def payload_of(entries: list[IndexEntry]) -> bytes:
    starts = [entry.segment.start for entry in entries if entry.segment]
    return write_index(Index(entries=entries, end=starts[-1] + 5 if starts else 0))


@pytest.mark.parametrize("count", [1, 2, 64, 65, 300, 6000])
def test_what_is_written_is_read(count, monkeypatch):
    entries = entries_of(count, count)
    payload = payload_of(entries)
    monkeypatch.setattr(index, "_FEW", 0)
    found = read(payload)
    assert list(found.entries) == entries == list(SectionList.of(entries))
    assert list(found.entries[1:-1]) == entries[1:-1]
    monkeypatch.setattr(index, "_FEW", 300)
    assert list(read(payload).entries) == entries


def test_both_ways_of_reading_refuse_the_same(monkeypatch):
    chance = random.Random(3)
    lies = [b"\xff" * 12, b"\x80\0", b"\xff" * 9 + b"\2", b"\xff" * 9 + b"\1", b"\7", b"\0"]
    lies += [encode_varint(2**32 + 1), encode_varint(2 * MAX_SEGMENT_FRAMES), encode_varint(2**62)]
    refused = 0
    for number in range(400):
        payload = bytearray(payload_of(entries_of(chance.randrange(1, 40), number)))
        at = chance.randrange(1, len(payload))
        match number % 4:
            case 0:
                payload[at] ^= 1 << chance.randrange(8)
            case 1:
                payload[at:at] = chance.choice(lies)
            case 2:
                del payload[at : at + chance.randrange(1, 4)]
            case 3:
                payload[at : at + 1] = chance.choice(lies)
        results = []
        for few in (0, 2**20):
            monkeypatch.setattr(index, "_FEW", few)
            try:
                found = read(bytes(payload))
                results.append((list(found.entries), found.end))
            except BitstreamError as error:
                assert "indx section, byte" in str(error)
                results.append("refused")
        assert results[0] == results[1], bytes(payload).hex()
        refused += results[0] == "refused"
    assert 80 < refused < 390


def _write_many(path, predicted):
    """Write a file of 30,000 empty segments of three frames; `predicted` tells which are."""
    file = BytesIO()
    with Reader(STREAM) as small:
        video = replace(small.header.video, time_base=Fraction(1, 25))
        header = replace(small.header, video=video)
    file.write(PREAMBLE + write_section("HEAD", write_header(header), before=PREAMBLE))
    entries = [IndexEntry(kind="HEAD", offset=len(PREAMBLE), size=file.tell() - len(PREAMBLE))]
    section = write_section("SEGM", b"\0\0\2\0\1\0")
    for number in range(SEGMENTS):
        summary = SegmentSummary(
            first_frame=3 * number, frames=3, start=3 * number, predicted=predicted(number)
        )
        entries.append(
            IndexEntry(kind="SEGM", offset=file.tell(), size=len(section), segment=summary)
        )
        file.write(section)
    stored = write_section("indx", write_index(Index(entries=entries, end=3 * SEGMENTS)))
    file.write(stored + write_end(len(stored)))
    path.write_bytes(file.getvalue())


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A file of many segments, every other one predicted."""
    path = tmp_path_factory.mktemp("many") / "many.nvc"
    _write_many(path, lambda number: number % 2 == 1)
    return path


def test_opening_makes_no_object_per_segment(many, monkeypatch):
    made = []
    for name in ("IndexEntry", "SegmentEntry"):
        real = getattr(section_list, name)
        monkeypatch.setattr(
            section_list, name, lambda real=real, **fields: made.append(1) or real(**fields)
        )
    tracemalloc.start()
    reader = Reader(many)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    with reader:
        assert reader.complete and reader.frame_count == 3 * SEGMENTS
        assert reader.duration == Fraction(3 * SEGMENTS, 25)
        assert reader.track_bytes == reader.token_bytes == 0
        assert peak < 60 * SEGMENTS + 3 * 2**20  # columns, and what a chunk of entries takes
        assert reader.segment_of(50_000).index == 16_666
        assert reader.segment_at(1000).first_frame == 24_999
        assert reader.segments.between(29, 31) == range(9, 11)
        assert len(made) < 100


def test_a_long_chain_takes_time_by_its_length(tmp_path):
    """All segments are predicted from the first, whose payload is empty: nothing can be decoded."""
    _write_many(tmp_path / "chain.nvc", bool)
    began = time.monotonic()
    with Reader(tmp_path / "chain.nvc") as reader:
        assert all(reader.needed(number) == range(number + 1) for number in range(SEGMENTS))
        cache = SegmentCache(reader, torch.device("cpu"))
        for number in range(0, SEGMENTS, 10):
            with pytest.raises(BitstreamError):
                cache.get(number)
    assert time.monotonic() - began < 20


def test_segments_between_frames(samples):
    reader = Reader(samples.stream())  # four segments of four frames
    between = reader.segments.between
    assert [between(0, 16), between(3, 5), between(4, 8), between(5, 5), between(16, 99)] == [
        range(4), range(2), range(1, 2), range(1, 1), range(4, 4),
    ]  # fmt: skip
    assert [entry.index for entry in reader.segments[-2:]] == [2, 3]
    assert reader.segments[-1].index == 3


def test_info_prints_the_first_segments(many, capsys):
    assert main(["info", str(many)]) == 0
    lines = capsys.readouterr().out.splitlines()
    (segments,) = [line for line in lines if line.startswith("segments")]
    assert segments.split(maxsplit=1)[1].startswith("[[0, 3], [3, 3], [6, 3], ")
    assert segments.endswith("[297, 3], ...], 30000 in all")
    assert main(["info", str(many), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["segments"]) == SEGMENTS


def test_inspection_lists_segments_only_when_asked(many, monkeypatch):
    made = []
    real = section_list.SegmentEntry
    monkeypatch.setattr(
        section_list, "SegmentEntry", lambda **fields: made.append(1) or real(**fields)
    )
    info = inspect(many)
    assert info.frames == 3 * SEGMENTS and len(made) < 100
    assert info.segments[:2] == ((0, 3), (3, 3)) and len(info.segments) == SEGMENTS
    assert info.predicted[:2] == (1, 3)
