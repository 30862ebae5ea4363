"""Tests of sections of tokens, also as read by older readers that do not know them."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace

import pytest

from nvcodec.container import (
    Reader,
    Segment,
    TokenFormat,
    TokensSection,
    Writer,
    checks,
    read_forward,
    recovery,
)
from nvcodec.container.section_types import CONDITIONING_TOKENS, SECTION_TYPES, TOKENS
from nvcodec.errors import BitstreamError, ChecksumError, ConfigError, UnsupportedVersionError

SEPARATE = TokenFormat(
    tokenizer_id=bytes(range(16)),
    conditioning=False,
    time_stride=4,
    space_stride=32,
    levels=(8, 8, 5),
)
CONDITIONING = replace(SEPARATE, conditioning=True)


def coded(number: int) -> bytes:
    return bytes([number]) * (5 + number)


def write(samples, tokens: TokenFormat | None, count: int = 4) -> bytes:
    file = io.BytesIO()
    with Writer(file) as writer:
        writer.header(replace(samples.HEADER, tokens=tokens))
        for track in samples.TRACKS:
            writer.track(track)
        for number in range(count):
            group(samples, writer, number, tokens)
        writer.finish()
    return file.getvalue()


def group(samples, writer: Writer, number: int, tokens: TokenFormat | None = SEPARATE) -> None:
    writer.packets(0, samples.audio(number))
    writer.segment(samples.SEGMENTS[number], coded(number) if tokens else None)


@pytest.fixture(params=[SEPARATE, CONDITIONING], ids=["toks", "TOKS"])
def both(request, samples) -> tuple[TokenFormat, bytes]:
    return request.param, write(samples, request.param)


def check(reader: Reader, samples, numbers=range(4)) -> None:
    for number in numbers:
        segment, tokens = samples.SEGMENTS[number], reader.tokens(number)
        assert tokens.payload == coded(number)
        assert (tokens.first_frame, tokens.pts) == (segment.first_frame, segment.pts)
        assert (tokens.durations, tokens.predicted) == (segment.durations, False)
        assert reader.payload(number) == segment.payload


def test_round_trip(both, samples):
    tokens, data = both
    with Reader(data) as reader:
        assert reader.version == (1, 1) and reader.header.tokens == tokens
        assert reader.complete and not reader.verify()
        check(reader, samples)
        size = sum(len(coded(number)) for number in range(4))
        assert 4 * 17 + size <= reader.token_bytes == Reader(data[:-3]).token_bytes
        assert reader.token_bytes < len(data) - len(write(samples, None))
    forward = list(read_forward(io.BytesIO(data)))
    sections = [part for part in forward if isinstance(part, Segment | TokensSection)]
    kinds = [type(section) for section in sections]
    assert kinds == [TokensSection, Segment] * 4
    read = [part.segment.payload for part in forward if isinstance(part, TokensSection)]
    assert read == [coded(number) for number in range(4)]


def test_without_tokens_nothing_changes(samples):
    data = write(samples, None)
    with Reader(data) as reader:
        assert reader.version == (1, 0) and reader.header.tokens is None
        assert reader.token_bytes == 0
        with pytest.raises(BitstreamError, match="no tokens"):
            reader.tokens(0)


def test_without_an_index(both, samples):
    tokens, data = both
    with Reader(data[:-3]) as reader:
        assert not reader.complete
        check(reader, samples)
        assert tokens == reader.header.tokens


def test_readers_before_tokens(both, samples, monkeypatch):
    tokens, data = both
    with monkeypatch.context() as patch:
        older = SECTION_TYPES - {TOKENS, CONDITIONING_TOKENS}
        patch.setattr(checks, "SECTION_TYPES", older)
        patch.setattr(recovery, "SECTION_TYPES", older)
        for part in (data, data[:-3]):
            if tokens.conditioning:
                with pytest.raises(UnsupportedVersionError, match="TOKS section, byte 1"):
                    Reader(part)
                continue
            with Reader(part) as reader:
                assert reader.complete == (part is data)
                assert [reader.payload(n) for n in range(4)] == [
                    segment.payload for segment in samples.SEGMENTS
                ]


def test_interrupted_and_appended(both, samples):
    tokens, data = both
    reader = Reader(data)
    last = reader.segments[2]
    ends = [reader.segments[1].offset + reader.segments[1].size]
    kind = tokens.section.encode()
    ends += [data.rindex(kind, 0, last.offset), last.offset, last.offset + 5]
    for end in ends:
        file = io.BytesIO(data[:end])
        with Writer.resume(file) as writer:
            assert writer.resumed and writer.resumed.segments == 2
            assert writer.resumed.header.tokens == tokens
            for number in (2, 3):
                group(samples, writer, number, tokens)
            writer.finish()
        assert file.getvalue() == data
    file = io.BytesIO(write(samples, tokens, 2))
    with Writer.append(file) as writer:
        for number in (2, 3):
            group(samples, writer, number, tokens)
        writer.finish()
    assert file.getvalue() == data


def test_all_segments_have_tokens_or_none(samples):
    for tokens in (None, SEPARATE):
        with Writer(io.BytesIO()) as writer:
            writer.header(replace(samples.HEADER, tokens=tokens))
            with pytest.raises(ConfigError, match="every segment"):
                writer.segment(samples.SEGMENTS[0], None if tokens else b"")


def test_damage_costs_the_tokens_of_one_segment(both, samples):
    tokens, data = both
    offset = [
        place for place in range(len(data)) if data.startswith(tokens.section.encode(), place)
    ][1]
    damaged = bytearray(data)
    damaged[offset + 12] ^= 4
    for part in (bytes(damaged), bytes(damaged[:-3])):
        with Reader(part) as reader:
            check(reader, samples, (0, 2, 3))
            assert reader.payload(1) == samples.SEGMENTS[1].payload
            with pytest.raises(ChecksumError, match=rf"(?s)byte {offset}\b.*{tokens.section}|"
                               rf"{tokens.section} section, byte {offset}\b"):  # fmt: skip
                reader.tokens(1)
            (damage,) = [part for part in reader.damage if part.section == tokens.section]
            assert damage.offset == offset
            if part[-4:] == data[-4:]:
                assert damage.frames == ((4, 8) if tokens.conditioning else None)
    with Reader(bytes(damaged)) as reader:
        (damage,) = reader.verify()
        assert (damage.section, damage.offset) == (tokens.section, offset)


def test_tokens_of_another_segment_and_missing_ones(both, samples):
    tokens, data = both
    header = Reader(data).header
    file = io.BytesIO()
    with Writer(file) as writer:
        writer.header(header)
        real = writer._section
        written: list[tuple] = []

        def section(kind, payload, **options) -> None:
            if kind == tokens.section:
                written.append((kind, payload))
                if len(written) == 2:
                    payload = written[0][1]
                if len(written) == 3:
                    return
            real(kind, payload, **options)

        writer._section = section
        for number in range(4):
            writer.segment(samples.SEGMENTS[number], coded(number))
        writer.finish()
    for part in (file.getvalue(), file.getvalue()[:-3]):
        with Reader(part) as reader:
            check(reader, samples, (0, 3))
            with pytest.raises(BitstreamError, match="not those of the segment"):
                reader.tokens(1)
            missing = rf"{tokens.section} section, byte \d+: missing before segment 2"
            with pytest.raises(BitstreamError, match=missing):
                reader.tokens(2)
            with pytest.raises(IndexError):
                reader.tokens(4)


FIELDS = b"\x01" + bytes(16) + b"\x04\x20\x02\x08\x05"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (b"\x03", "tokens must be in"),
        (FIELDS[:9], "tokenizer id needs 16 bytes"),
        (FIELDS[:17] + b"\0", "time stride must be"),
        (FIELDS[:18] + b"\0", "space stride must be"),
        (FIELDS[:19] + b"\x11", "digits must be"),
        (FIELDS[:20] + b"\x01", "levels must be"),
        (FIELDS[:21], "levels needs 1 bytes"),
    ],
)
def test_fields_of_the_header(samples, fields, message):
    def stream(extra: bytes, minor: int) -> bytes:
        data = write(samples, None)
        at = data.index(b"trak")
        start = bytearray(data[10 : at - 4])
        start[4] += len(extra)
        head = data[:9] + bytes([minor]) + bytes(start) + extra
        return head + struct.pack("<I", zlib.crc32(head))

    with pytest.raises(BitstreamError, match=message):
        Reader(stream(fields, 1))
    # Version 1.0 has no such fields and ignores later bytes; a zero stands for no tokens.
    for extra, minor in ((fields, 0), (b"\0", 1), (b"\0later", 1), (b"", 1)):
        assert Reader(stream(extra, minor)).header.tokens is None
    assert Reader(stream(FIELDS + b"later", 1)).header.tokens == replace(
        SEPARATE, tokenizer_id=bytes(16), levels=(8, 5)
    )
