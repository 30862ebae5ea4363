"""Tests of damaged files: every truncation and every flipped byte leaves the rest readable."""

import contextlib
import io
import random

import pytest

from nvcodec.container import DamageKind, Reader, Segment, Writer, read_forward
from nvcodec.container.framing import read_framing
from nvcodec.errors import BitstreamError, ChecksumError, TruncatedStreamError


def _intact_segments(reader: Reader) -> dict[int, Segment]:
    """Read the usable segments, by first frame."""
    segments = {}
    for entry in reader.segments:
        try:
            segments[entry.first_frame] = reader.segment(entry.index)
        except ChecksumError as error:
            assert f"byte {entry.offset}" in str(error)
            assert "SEGM" in str(error)
    return segments


def _use_everything(reader: Reader) -> None:
    """Call every method of a reader; any error but BitstreamError fails the test."""
    for entry in reader.segments:
        for use in (reader.segment, reader.payload, reader.needed):
            with contextlib.suppress(BitstreamError):
                use(entry.index)
        reader.segment_at(entry.start)
    for track in range(3):
        for _ in reader.packets(track, skip_damaged=True):
            pass
    with contextlib.suppress(BitstreamError):
        assert reader.duration >= 0
    assert 0 <= reader.track_bytes <= reader.file_bytes
    for damage in reader.verify():
        assert 0 <= damage.offset <= damage.offset + damage.size <= reader.file_bytes
        assert str(damage)
        assert isinstance(damage.error(), BitstreamError)


def test_every_truncation(samples):
    data = samples.small()
    whole = Reader(data)
    ends = [entry.offset + entry.size for entry in whole.segments]
    header_end = data.index(b"trak")
    for cut in range(len(data)):
        part = data[:cut]
        if cut < header_end:
            with pytest.raises(TruncatedStreamError):
                Reader(part)
            continue
        reader = Reader(part)
        assert not reader.complete
        usable = sum(end <= cut for end in ends)
        assert _intact_segments(reader) == {4 * k: samples.SEGMENTS[k] for k in range(usable)}
        assert reader.frame_count == 4 * usable
        _use_everything(reader)
        (damage,) = reader.damage
        assert damage.kind in (DamageKind.TRUNCATED, DamageKind.CHECKSUM)
        if usable < 3:
            assert damage.frames == (4 * usable, None)
            assert f"frames {4 * usable}.. missing" in str(damage)
            with pytest.raises(BitstreamError):
                reader.segment_of(4 * usable)
        with pytest.raises(TruncatedStreamError):
            list(read_forward(io.BytesIO(part)))


def test_every_flipped_byte(samples):
    data = samples.small()
    whole = Reader(data)
    header_end = data.index(b"trak")
    segments = {4 * k: samples.SEGMENTS[k] for k in range(3)}
    packets = [packet for k in range(3) for packet in samples.audio(k, 2)]
    sections = _sections(data)
    for position in range(len(data)):
        for flip in (0x01, 0x20, 0x80, 0xFF):
            damaged = bytearray(data)
            damaged[position] ^= flip
            with pytest.raises(BitstreamError):
                list(read_forward(io.BytesIO(damaged)))
            if position < header_end:
                with pytest.raises(BitstreamError):
                    Reader(bytes(damaged))
                continue
            reader = Reader(bytes(damaged))
            kind, start, size = next(s for s in sections if s[1] <= position < s[1] + s[2])
            lost = next((e.first_frame for e in whole.segments if e.offset == start), None)
            expected = {first: kept for first, kept in segments.items() if first != lost}
            assert _intact_segments(reader) == expected
            assert list(reader.tracks) == ([] if kind == "trak" else [0])
            read = list(reader.packets(0, skip_damaged=True))
            if kind == "pack":
                assert len(read) == len(packets) - 2
                assert all(packet in packets for packet in read)
            else:
                assert read == packets
            # A wrong byte costs only the section that holds it, and that section is reported.
            (damage,) = reader.verify()
            assert not reader.complete
            assert (damage.offset, damage.size) == (start, size)
            assert damage.frames == (None if lost is None else (lost, lost + 4))
            _use_everything(reader)


def _sections(data: bytes) -> list[tuple[str, int, int]]:
    """Return type, offset and size of every section."""
    sections, offset = [], 10
    while offset < len(data):
        framing = read_framing(data[offset : offset + 9], offset)
        sections.append((framing.kind, offset, framing.size))
        offset = framing.end
    return sections


def test_flips_without_an_index_lose_one_section(samples):
    """Without the end there is no index, so the reader searches byte by byte."""
    whole = samples.small()
    data = whole[: whole.index(b"indx")]
    header_end = data.index(b"trak")
    for position in range(header_end, len(data)):
        for flip in (0x01, 0x20, 0x80, 0xFF):
            damaged = bytearray(data)
            damaged[position] ^= flip
            reader = Reader(bytes(damaged))
            lost = [
                4 * k
                for k, entry in enumerate(Reader(whole).segments)
                if entry.offset <= position < entry.offset + entry.size
            ]
            expected = {4 * k: samples.SEGMENTS[k] for k in range(3) if 4 * k not in lost}
            assert _intact_segments(reader) == expected
            assert reader.damage
            if lost and lost[0] < 8:
                assert (lost[0], lost[0] + 4) in [damage.frames for damage in reader.damage]
                with pytest.raises(BitstreamError):
                    reader.segment_of(lost[0] + 1)
            if lost == [0]:
                with pytest.raises(BitstreamError, match=r"frames 0\.\.3 missing"):
                    reader.needed(0)  # segment 1 is predicted from it
            _use_everything(reader)


def test_bytes_inserted_removed_and_appended(samples):
    data = samples.small()
    second = Reader(data).segments[1]
    inserted = data[: second.offset + 9] + b"\n" + data[second.offset + 9 :]
    removed = data[: second.offset + 9] + data[second.offset + 10 :]
    for damaged in (inserted, removed):
        reader = Reader(damaged)
        assert set(_intact_segments(reader)) == {0, 8}
        assert [damage.frames for damage in reader.damage if damage.frames] == [(4, 8)]
    gone = data[: second.offset] + data[second.offset + second.size :]
    reader = Reader(gone)
    assert set(_intact_segments(reader)) == {0, 8}
    assert [damage.frames for damage in reader.damage] == [(4, 8)]
    assert reader.damage[0].kind is DamageKind.MISSING
    with pytest.raises(TruncatedStreamError, match=r"frames 4\.\.7 missing"):
        reader.segment_of(5)
    trailing = Reader(data + b"junk")
    assert [damage.kind for damage in trailing.damage] == [DamageKind.TRAILING]
    assert trailing.damage[0].size == 4
    assert len(_intact_segments(trailing)) == 3


def test_sections_twice_or_out_of_order(samples):
    data = samples.small()
    sections = {offset: data[offset : offset + size] for _, offset, size in _sections(data)}
    (header, track, _, first, _, second, _, third, index, end) = sections.values()
    start = data[:10] + header
    cases = [
        (start + track + track + first + second + third + index + end, {0, 4, 8}),
        (start + track + first + first + second + third + index + end, {0, 4, 8}),
        (start + first + third + second + index + end, {0, 8}),
        (start + third + second + first + index + end, {8}),
        (start + header + first + second + third + index + end, {0, 4, 8}),
        (start + first + second + third + end, {0, 4, 8}),
        (start + first + second + third + track + index + end, {0, 4, 8}),
        (start + first + index + second + end, {0, 4}),
        (start + index + first + second + third + index + end, {0, 4, 8}),
        (start + first + end + second + third + index + end, {0}),
    ]
    for stream, frames in cases:
        reader = Reader(stream)
        assert set(_intact_segments(reader)) == frames
        assert not reader.complete
        _use_everything(reader)
    with pytest.raises(BitstreamError, match="nothing was changed"):
        Writer.resume(io.BytesIO(start + index + first + second + third + index + end))


def test_damage_of_the_reference_of_a_predicted_segment(samples):
    data = bytearray(samples.small())
    data[Reader(bytes(data)).segments[0].offset + 25] ^= 1
    reader = Reader(bytes(data))
    assert reader.complete  # no segment was read yet
    assert reader.needed(1) == range(2)
    for _ in range(2):
        with pytest.raises(ChecksumError, match="SEGM section, byte"):
            reader.payload(0)
    assert not reader.complete
    assert reader.damage[0].frames == (0, 4)
    with pytest.raises(ChecksumError):
        damaged = bytearray(samples.small())
        damaged[bytes(damaged).index(b"pack") + 12] ^= 1
        list(Reader(bytes(damaged)).packets(0))


def test_text_mode_transfer_and_other_files():
    for content in (
        b"",
        b"\x8aNV",
        b"\x8aNVC\n\x1a\n" + bytes(40),
        b"\x0aNVC\r\n\x1a\n" + bytes(40),
        b"\x00\x00\x00\x20ftypisom",
        b"\x89PNG\r\n\x1a\n",
    ):
        with pytest.raises(BitstreamError) as caught:
            Reader(content)
        assert ("text" in str(caught.value)) == (b"NVC" in content)
        with pytest.raises(BitstreamError):
            list(read_forward(io.BytesIO(content)))


def test_random_damage(samples):
    rng = random.Random(20)
    data = samples.stream()
    kinds = [b"HEAD", b"trak", b"meta", b"pack", b"SEGM", b"indx", b"DONE"]
    for _ in range(1500):
        damaged = bytearray(data)
        for _ in range(rng.randrange(1, 6)):
            at = rng.randrange(len(damaged))
            match rng.randrange(5):
                case 0:
                    damaged[at] = rng.randrange(256)
                case 1:
                    del damaged[at : at + rng.randrange(40)]
                case 2:
                    damaged[at:at] = rng.randbytes(rng.randrange(40))
                case 3:
                    damaged[at : at + 4] = rng.choice(kinds)
                case 4:
                    other = rng.randrange(len(damaged))
                    damaged[at:at] = damaged[other : other + rng.randrange(100)]
        for read in (Reader, lambda stream: list(read_forward(io.BytesIO(stream)))):
            try:
                result = read(bytes(damaged))
            except BitstreamError:
                continue
            if isinstance(result, Reader):
                _use_everything(result)
