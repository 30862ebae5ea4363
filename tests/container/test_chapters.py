"""Tests of the chapter section."""

from __future__ import annotations

from fractions import Fraction
from io import BytesIO

import pytest

from nvcodec.container import ChaptersSection, Reader, Writer, read_forward
from nvcodec.container.chapters import MAX_CHAPTERS, read_chapters, write_chapters
from nvcodec.container.fields import Cursor, encode_varint
from nvcodec.container.framing import write_section
from nvcodec.errors import BitstreamError, ConfigError
from nvcodec.media import Chapter, cut_chapters


def read(payload):
    return read_chapters(Cursor(payload, section="chap", offset=0)).chapters


def test_chapters_come_back(samples):
    data = samples.with_chapters()
    reader = Reader(data)
    assert reader.complete and reader.version == (1, 2)
    assert reader.chapters == samples.CHAPTERS
    assert list(read_forward(BytesIO(data)))[-1] == ChaptersSection(chapters=samples.CHAPTERS)


def test_a_file_without_chapters_is_as_before(samples):
    assert Reader(samples.stream()).chapters == ()
    assert Reader(samples.stream()).version == (1, 0)
    assert Reader(samples.with_chapters(())).chapters == ()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\1",
        b"\1\0\0",
        b"\1\0\0\5abc",  # a title that ends early
        b"\1\0\0\1\xff",  # no UTF-8
        b"\1" + encode_varint(2**63) + b"\0\0",  # a start beyond the limit
        b"\1\0" + encode_varint(2**62) + b"\0",
        encode_varint(MAX_CHAPTERS + 1) + bytes(3 * MAX_CHAPTERS + 9),
        encode_varint(2**40) + bytes(100),  # compared with what is left before anything is made
    ],
)
def test_malformed_chapters_are_refused(samples, payload):
    with pytest.raises(BitstreamError, match="chap section"):
        read(payload)
    # The file loses its chapters and nothing else.
    whole = samples.with_chapters()
    section = write_section("chap", write_chapters(samples.CHAPTERS))
    damaged = whole.replace(section, write_section("chap", payload))
    reader = Reader(damaged)
    assert len(reader.segments) == 2 and not reader.complete


def test_bytes_behind_the_last_chapter_are_reserved(samples):
    assert read(write_chapters(samples.CHAPTERS) + b"later") == samples.CHAPTERS


def test_a_damaged_byte_costs_the_chapters_only(samples):
    data = samples.with_chapters()
    place = data.index(b"Vorspann")
    reader = Reader(data[:place] + b"v" + data[place + 1 :])
    assert reader.chapters == () and [d.section for d in reader.damage] == ["chap"]
    assert len(reader.segments) == 2


def test_a_cut_file_keeps_whole_chapters(samples):
    data = samples.with_chapters()
    end = data.index(b"indx")
    assert Reader(data[:end]).chapters == samples.CHAPTERS
    assert Reader(data[: end - 1]).chapters == ()


def test_chapters_are_cut_and_written_again(samples):
    data = samples.with_chapters()
    unfinished = data[: data.index(b"indx")]
    for continued, start in ((Writer.resume, unfinished), (Writer.append, data)):
        file = BytesIO(start)
        writer = continued(file)
        writer.chapters(samples.CHAPTERS)
        writer.finish()
        assert file.getvalue() == data


def test_what_cannot_be_written(samples):
    late = Chapter(Fraction(1), Fraction(0))
    with pytest.raises(ConfigError, match="duration of a chapter"):
        write_chapters([late])
    with pytest.raises(ConfigError, match="chapters must be in"):
        write_chapters([Chapter(Fraction(0), Fraction(1))] * (MAX_CHAPTERS + 1))
    writer = Writer(BytesIO())
    writer.header(samples.HEADER)
    with pytest.raises(ConfigError, match="follow the last segment"):
        writer.chapters(samples.CHAPTERS)
    writer.segment(samples.SEGMENTS[0])
    with pytest.raises(ConfigError, match="has no chapters"):
        writer.chapters(samples.CHAPTERS)


def test_chapters_of_a_part():
    chapters = [Chapter(Fraction(n), Fraction(n + 1), str(n)) for n in range(4)]
    cut = cut_chapters(chapters, Fraction(3, 2), Fraction(3), Fraction(3, 2))
    assert cut == [
        Chapter(Fraction(0), Fraction(1, 2), "1"),
        Chapter(Fraction(1, 2), Fraction(3, 2), "2"),
    ]
